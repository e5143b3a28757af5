# One image for every command: docker run <image> operator | sharder | rest-proxy | simulator.
# Any image with Node 24 and npm serves as the base. The tag is for trying things out and follows its fixes; a release
# gives the image that the tag is that day by its digest, and says which it was (docs/releasing.md).
ARG BASE_IMAGE=node:24-trixie-slim

FROM ${BASE_IMAGE} AS dependencies
WORKDIR /app
# npm takes its registry from the environment: give it here where packages come from a mirror.
ARG npm_config_registry
COPY package.json package-lock.json ./
# No install scripts: none of the dependencies needs one. Optional packages are Node, which the base image has, and a
# decompressor that Node has itself. Types and source maps are half of what is installed and are never read at run time.
RUN npm ci --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund --no-update-notifier \
 && find node_modules -type f \( -name '*.map' -o -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' \) -delete

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="ShardCluster" \
      org.opencontainers.image.description="A Kubernetes operator for the Discord gateway of large bots" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV NODE_ENV=production
WORKDIR /app
COPY --from=dependencies /app/node_modules node_modules
COPY package.json ./
COPY src src
COPY operator operator
COPY sharder sharder
# A number and not a name, so that runAsNonRoot can be checked. Nothing in /app but the cache below belongs to this
# user and nothing is written there: the root file system may be read-only.
RUN install -d -o 65532 -g 65532 /app/.compile-cache
USER 65532:65532
# Node strips types when it loads a file: 20 MB and a quarter of a second in each process and thread. What it made is
# kept here, for the very user that runs it (the cache is one of each user).
ENV NODE_COMPILE_CACHE=/app/.compile-cache
RUN ["node", "/app/src/cli/main.ts", "compile-cache"]
# Otherwise SIGUSR1 would open a debugger in a process that holds tokens and keys.
ENTRYPOINT ["node", "--disable-sigusr1", "/app/src/cli/main.ts"]
