{{/* All that the operator may do in the namespaces of its ShardClusters. */}}
{{- define "shardcluster.rules" -}}
# What is watched is read one by one only before it is first applied: whose is it? What is applied is created and
# patched, never updated.
- apiGroups: [shardcluster.dev]
  resources: [shardclusters]
  verbs: [list, watch]
- apiGroups: [shardcluster.dev]
  resources: [shardclusters/status]
  verbs: [patch]
# Owner references with blockOwnerDeletion need this where OwnerReferencesPermissionEnforcement is on (OpenShift).
- apiGroups: [shardcluster.dev]
  resources: [shardclusters/finalizers]
  verbs: [update]
# Another number of shards is another StatefulSet: the one before is deleted. Nothing else is, but by garbage collection.
- apiGroups: [apps]
  resources: [statefulsets]
  verbs: [create, delete, get, list, patch, watch]
- apiGroups: [""]
  resources: [services]
  verbs: [create, get, list, patch, watch]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [create, get, list, patch, watch]
# Delete is how a worker is restarted: the StatefulSets are OnDelete.
- apiGroups: [""]
  resources: [pods]
  verbs: [delete, list, watch]
# Single Secrets by their name: those that a ShardCluster refers to, and the key, the certificates and the sessions of its
# workers, which are written and go with it. Neither list nor watch, which would read every Secret there is.
- apiGroups: [""]
  resources: [secrets]
  verbs: [create, get, patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}
