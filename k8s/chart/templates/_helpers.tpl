{{- define "barnabas.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* Goes beside the selector's labels. */}}
{{- define "barnabas.labels" -}}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{/* Labels that never change over a release's life. Call with (dict "root" $ "role" "broker"). */}}
{{- define "barnabas.selector" -}}
app.kubernetes.io/name: barnabas
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .role }}
{{- end -}}

{{- define "barnabas.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{/* host:port of a controller. Call with (dict "root" $ "ordinal" 0). */}}
{{- define "barnabas.controllerAddress" -}}
{{- $name := include "barnabas.name" .root -}}
{{- printf "%s-controller-%d.%s-controller.%s.svc.%s:7800" $name (int .ordinal) $name .root.Release.Namespace .root.Values.clusterDomain -}}
{{- end -}}

{{/* Every controller, for whoever looks for one. */}}
{{- define "barnabas.controllers" -}}
{{- $addresses := list -}}
{{- range $i := until (int .Values.controller.replicas) -}}
{{- $addresses = append $addresses (include "barnabas.controllerAddress" (dict "root" $ "ordinal" $i)) -}}
{{- end -}}
{{- join "," $addresses -}}
{{- end -}}

{{/* id@host:port of the first voters of a new cluster; ids are the pods' ordinals. Empty once it is founded. */}}
{{- define "barnabas.founders" -}}
{{- if gt (int .Values.controller.founders) (int .Values.controller.replicas) -}}
{{- fail "controller.founders must not exceed controller.replicas: the first voters must run" -}}
{{- end -}}
{{- $voters := list -}}
{{- range $i := until (int .Values.controller.founders) -}}
{{- $voters = append $voters (printf "%d@%s" $i (include "barnabas.controllerAddress" (dict "root" $ "ordinal" $i))) -}}
{{- end -}}
{{- join "," $voters -}}
{{- end -}}

{{/* One id for all controllers: given, or made from what names the release, so that it never changes. */}}
{{- define "barnabas.clusterId" -}}
{{- .Values.clusterId | default (printf "%s/%s" .Release.Namespace .Release.Name | sha256sum | trunc 22) -}}
{{- end -}}

{{/* What every container has in common: the process runs as nobody in particular and writes to its volume only. */}}
{{- define "barnabas.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "barnabas.podSecurity" -}}
runAsUser: 1000
runAsGroup: 1000
fsGroup: 1000
fsGroupChangePolicy: OnRootMismatch
{{- end -}}

{{/*
Probes. A node listens from its first moment with health NOT_SERVING, and serves once it has caught
up. Readiness asks its gRPC health. Liveness only asks whether the process still accepts
connections: killing a broker because the controllers are away would help nobody.
*/}}
{{- define "barnabas.probes" -}}
startupProbe:
  tcpSocket:
    port: grpc
  periodSeconds: 2
  failureThreshold: 150
readinessProbe:
  grpc:
    port: {{ .port }}
  periodSeconds: 5
  timeoutSeconds: 3
livenessProbe:
  tcpSocket:
    port: grpc
  periodSeconds: 10
  failureThreshold: 6
{{- end -}}

{{/* Spreads the pods of one role over nodes where it can. */}}
{{- define "barnabas.spread" -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "barnabas.selector" . | nindent 8 }}
{{- end -}}

{{/* A pod's ordinal is its node id; its name is its stable address. */}}
{{- define "barnabas.identityEnv" -}}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: BARNABAS_NODE_ID
  valueFrom:
    fieldRef:
      fieldPath: metadata.labels['apps.kubernetes.io/pod-index']
{{- end -}}
