# The server in an image of its own: one static program and the certificate authorities that systems trust.
#
#   docker build -t kubeconfig-apiserver .
#
# RUST_IMAGE is an Alpine with the Rust that rust-toolchain.toml names; programs built there are static. A tag can be moved to another image:
# builds that are released name the image by its digest, which `docker buildx imagetools inspect rust:1.95.0-alpine` prints.
#
#   docker build --build-arg RUST_IMAGE=rust:1.95.0-alpine@sha256:… -t kubeconfig-apiserver .
ARG RUST_IMAGE=rust:1.95.0-alpine

FROM ${RUST_IMAGE} AS build
# A C compiler for SQLite and the cryptography, and the certificate authorities.
RUN apk add --no-cache build-base ca-certificates cmake linux-headers perl
WORKDIR /src
COPY . .
RUN cargo build --locked --profile dist --package kubeconfig-apiserver --bin kubeconfig-apiserver

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /src/target/dist/kubeconfig-apiserver /kubeconfig-apiserver
# As the chart says; there is no user of that number, and no shell to be one.
USER 65532:65532
EXPOSE 6443 8443
ENTRYPOINT ["/kubeconfig-apiserver"]
CMD ["aggregated"]
