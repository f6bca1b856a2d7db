"""Take a model along: to other libraries, and to files that run without this one."""
