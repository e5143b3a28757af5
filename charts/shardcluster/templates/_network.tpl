{{/* Pods of one component of this release, as a peer: (list $ "operator"). */}}
{{- define "shardcluster.podsOf" -}}
- namespaceSelector:
    matchLabels:
      kubernetes.io/metadata.name: {{ (index . 0).Release.Namespace }}
  podSelector:
    matchLabels:
      {{- include "shardcluster.selectorLabels" . | nindent 6 }}
{{- end }}

{{/* The namespaces whose ShardClusters are run: (list $ <more namespaces>). Without watchNamespaces that is every one. */}}
{{- define "shardcluster.watched" -}}
{{- $watched := (index . 0).Values.watchNamespaces -}}
namespaceSelector:
  {{- if $watched }}
  matchExpressions:
    - key: kubernetes.io/metadata.name
      operator: In
      values: {{ concat (index . 1) $watched | uniq | toJson }}
  {{- else }} {}
  {{- end }}
{{- end }}

{{/* Pods of the namespaces whose ShardClusters are run, and of the release's own: where bots are. */}}
{{- define "shardcluster.bots" -}}
- {{ include "shardcluster.watched" (list . (list .Release.Namespace)) | nindent 2 | trim }}
{{- end }}

{{/* The workers of all ShardClusters that are run. */}}
{{- define "shardcluster.workers" -}}
- {{ include "shardcluster.watched" (list . list) | nindent 2 | trim }}
  podSelector:
    matchLabels:
      {{- include "shardcluster.workerSelector" . | nindent 6 }}
{{- end }}

{{/*
Anything but networkPolicy.except. Pods are named beside the addresses, because some pod networks (Cilium) take no pod
for an address.
*/}}
{{- define "shardcluster.anywhere" -}}
{{- $except := (.Values.networkPolicy).except | default list -}}
- namespaceSelector: {}
{{- range $cidr := list "0.0.0.0/0" "::/0" }}
- ipBlock:
    cidr: {{ $cidr }}
    {{- $held := list }}
    {{- range $except }}{{ if eq (contains ":" .) (contains ":" $cidr) }}{{ $held = append $held . }}{{ end }}{{ end }}
    {{- with $held }}
    except: {{ toJson . }}
    {{- end }}
{{- end }}
{{- end }}

{{/*
A rule of egress that every policy has. Names are asked anywhere: a cache on the node has a link-local address
(NodeLocal DNSCache: 169.254.20.10), and there is nothing but DNS at these ports.
*/}}
{{- define "shardcluster.dns" -}}
- ports:
    {{- range (.Values.networkPolicy).dnsPorts | default (list 53) }}
    - { port: {{ . }}, protocol: UDP }
    - { port: {{ . }}, protocol: TCP }
    {{- end }}
{{- end }}

{{/* Where policies for workers are made, a namespace a line. Empty: there are none. */}}
{{- define "shardcluster.workerNamespaces" -}}
{{- $policy := .Values.networkPolicy }}
{{- $named := $policy.workers.namespaces | default .Values.watchNamespaces }}
{{- if and (eq (toString $policy.workers.enabled) "true") (not $named) }}
{{- fail "networkPolicy.workers.enabled=true, but where is not said: name the namespaces of your ShardClusters in networkPolicy.workers.namespaces or in watchNamespaces, or set networkPolicy.workers.enabled=auto for those of the release's own namespace alone" }}
{{- end }}
{{- if or (eq (toString $policy.workers.enabled) "true") (and $policy.enabled (eq (toString $policy.workers.enabled) "auto")) }}
{{- join "\n" ($named | default (list .Release.Namespace)) }}
{{- end }}
{{- end }}
