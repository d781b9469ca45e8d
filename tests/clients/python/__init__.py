"""What each client is asked to do. A module runs in an environment that has its client and nothing else of ours."""
