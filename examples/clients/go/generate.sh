#!/bin/sh
# Generates barnabas/v1 from proto/. Uses buf from node_modules (npm ci) and Go's protobuf plugins.
set -eu
cd "$(dirname "$0")"
root=$(cd ../../.. && pwd)
export GOBIN="$PWD/.bin"
go install google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.10
go install google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.0
PATH="$GOBIN:$PATH" "$root/node_modules/.bin/buf" generate --template buf.gen.yaml --path "$root/proto/barnabas/v1" "$root"
go mod tidy
