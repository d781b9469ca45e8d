"""How requests are shared among replicas of a model: pure rules, without sockets or clocks."""
