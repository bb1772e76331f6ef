"""The names of services and pods: what is asked, what is answered, and who listens."""
