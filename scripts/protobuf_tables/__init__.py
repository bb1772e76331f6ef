"""Makes the field tables with which protobuf requests are decoded."""
