# syntax=docker/dockerfile:1
# One static program in an image without a shell. docker build -t tokenos .
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG VERSION=0.0.0-dev
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.stamped=${VERSION}" -o /tokenos ./cmd/tokenos

FROM gcr.io/distroless/static-debian12:nonroot
ARG VERSION=0.0.0-dev
LABEL org.opencontainers.image.title="tokenos" \
      org.opencontainers.image.description="API keys on Ory Hydra" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
COPY --from=build /tokenos /tokenos
EXPOSE 8080
ENTRYPOINT ["/tokenos"]
CMD ["serve"]
