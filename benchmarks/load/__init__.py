"""What `registration_load` is made of: how load is made, and the servers that it is put on."""
