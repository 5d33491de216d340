module procs

go 1.26
