module ebb.dev/test/container

go 1.24
