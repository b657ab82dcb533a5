#!/bin/sh
# The image's entry point. exec: the program itself gets the signals.
exec node /app/packages/cli/dist/bin.js "$@"
