"""How long the channels of a client wait, whichever they are: seconds."""

CONNECT_SECONDS_MAX = 2.0  # TCP, TLS and HTTP/2 settings; a paused member answers none of them
PING_SECONDS = 6  # etcd cuts off clients that ping more often than every 5 s
PING_TIMEOUT_SECONDS = 6  # silence on a ping: the connection is dead, or the machine beyond hope
RECONNECT_SECONDS_MIN = 0.1
RECONNECT_SECONDS_MAX = 1.0  # a restarted member is found again within this time
