{{/* What each pod of a release takes and what it connects to: the body of its NetworkPolicy. */}}
{{- define "shardcluster.policy.operator" -}}
{{- $policy := .Values.networkPolicy -}}
ingress:
  # Probes and metrics. Probes of the kubelet come from the node and are always let in.
  - ports:
      - port: http
    {{- with $policy.metricsFrom }}
    from:
      {{- include "shardcluster.podsOf" (list $ "test") | nindent 6 }}
      {{- toYaml . | nindent 6 }}
    {{- end }}
  # The API for bots.
  - ports:
      - port: api
    from:
      {{- with $policy.apiFrom }}
      {{- toYaml . | nindent 6 }}
      {{- else }}
      {{- include "shardcluster.bots" . | nindent 6 }}
      {{- end }}
egress:
  {{- include "shardcluster.dns" . | nindent 2 }}
  {{- $server := ($policy.operator).apiServer | default dict }}
  # The API server, whose address is known to nobody but the cluster.
  - ports:
      {{- range $server.ports | default (list 443 6443) }}
      - port: {{ . }}
      {{- end }}
    {{- with $server.to }}
    to:
      {{- toYaml . | nindent 6 }}
    {{- end }}
  - ports:
      - port: 8080
    to:
      {{- include "shardcluster.workers" . | nindent 6 }}
  {{- with ($policy.operator).egress }}
  {{- if $.Values.restProxy.enabled }}
  - ports:
      - port: 8000
    to:
      {{- include "shardcluster.podsOf" (list $ "rest-proxy") | nindent 6 }}
  {{- end }}
  {{- toYaml . | nindent 2 }}
  {{- else }}
  # REST proxies, whose addresses and ports are in the ShardClusters.
  - to:
      {{- include "shardcluster.anywhere" . | nindent 6 }}
  {{- end }}
{{- end }}

{{- define "shardcluster.policy.rest-proxy" -}}
{{- $policy := .Values.networkPolicy -}}
ingress:
  - ports:
      - port: http
    from:
      {{- with $policy.restProxyFrom }}
      # The operator asks it how many shards a bot should have.
      {{- include "shardcluster.podsOf" (list $ "operator") | nindent 6 }}
      {{- toYaml . | nindent 6 }}
      {{- else }}
      {{- include "shardcluster.bots" . | nindent 6 }}
      {{- end }}
egress:
  {{- include "shardcluster.dns" . | nindent 2 }}
  {{- $egress := ($policy.restProxy).egress }}
  {{- if and .Values.restProxy.discordUrl (not $egress) }}
  # Another Discord, wherever restProxy.discordUrl says.
  - to:
      {{- include "shardcluster.anywhere" . | nindent 6 }}
  {{- else }}
  # Discord.
  - ports:
      - port: 443
    to:
      {{- include "shardcluster.anywhere" . | nindent 6 }}
  {{- end }}
  {{- if .Values.simulator.enabled }}
  - ports:
      - port: 8082
    to:
      {{- include "shardcluster.podsOf" (list $ "simulator") | nindent 6 }}
  {{- end }}
  {{- with $egress }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "shardcluster.policy.simulator" -}}
ingress:
  - ports:
      - port: http
    from:
      {{- include "shardcluster.workers" . | nindent 6 }}
      # Whoever else is in the release's namespace, such as the REST proxy.
      - podSelector: {}
# It answers, and connects to nothing.
egress: []
{{- end }}

{{- define "shardcluster.policy.sample-bot" -}}
{{- include "shardcluster.policy.simulator" . }}
{{- end }}
