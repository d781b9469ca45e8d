"""When each batch will run and end if nothing new arrives, and why not earlier."""
