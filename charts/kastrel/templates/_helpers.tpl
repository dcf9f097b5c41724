{{/* The name of the chart, or of nameOverride. */}}
{{- define "kastrel.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of the release's objects. Suffixes such as -worker still fit into 63 characters. */}}
{{- define "kastrel.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "kastrel.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "kastrel.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "kastrel.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* Takes a dict with `root` and `part`: web, worker or backup. */}}
{{- define "kastrel.selector" -}}
app.kubernetes.io/name: {{ include "kastrel.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end -}}

{{- define "kastrel.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ .root.Values.image.tag | default .root.Chart.AppVersion | trunc 63 | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{ include "kastrel.selector" . }}
{{- end -}}

{{- define "kastrel.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository ($image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* Values that need each other. Fails with the name of what is missing. */}}
{{- define "kastrel.check" -}}
{{- $v := .Values -}}
{{- if eq $v.mode "cluster" -}}
{{- if not $v.database.urlSecret.name }}{{ fail "mode cluster needs database.urlSecret.name: the Secret with the URL of the database server" }}{{ end -}}
{{- if not $v.redis.urlSecret.name }}{{ fail "mode cluster needs redis.urlSecret.name: the Secret with the URL of Redis" }}{{ end -}}
{{- if not $v.secretsKey.name }}{{ fail "mode cluster needs secretsKey.name: all processes open secret settings with the same key" }}{{ end -}}
{{- if and $v.worker.autoscaling.enabled (not $v.worker.autoscaling.tokenSecret.name) }}{{ fail "worker.autoscaling needs tokenSecret.name: an API token with the server role auditor" }}{{ end -}}
{{- if gt (int $v.worker.autoscaling.minReplicas) (int $v.worker.autoscaling.maxReplicas) }}{{ fail "worker.autoscaling.minReplicas must not be more than maxReplicas" }}{{ end -}}
{{- else -}}
{{- if or $v.database.urlSecret.name $v.redis.urlSecret.name }}{{ fail "database.urlSecret and redis.urlSecret are for mode cluster" }}{{ end -}}
{{- if $v.worker.autoscaling.enabled }}{{ fail "worker.autoscaling is for mode cluster" }}{{ end -}}
{{- end -}}
{{- if eq $v.auth.mode "oidc" -}}
{{- if not (and $v.auth.oidc.issuer $v.auth.oidc.clientId $v.publicUrl) }}{{ fail "auth.mode oidc needs auth.oidc.issuer, auth.oidc.clientId and publicUrl" }}{{ end -}}
{{- end -}}
{{- if $v.mail.smtpUrlSecret.name -}}
{{- if not (and $v.mail.from $v.publicUrl) }}{{ fail "mail.smtpUrlSecret needs mail.from and publicUrl" }}{{ end -}}
{{- end -}}
{{- if and $v.networkPolicy.enabled (eq $v.mode "cluster") (not $v.networkPolicy.web.egress) (or (eq $v.auth.mode "oidc") $v.mail.smtpUrlSecret.name) -}}
{{- fail "networkPolicy.web.egress must allow the identity provider and the mail server" -}}
{{- end -}}
{{- if and $v.monitoring.serviceMonitor.enabled (not $v.monitoring.serviceMonitor.tokenSecret.name) }}{{ fail "monitoring.serviceMonitor needs tokenSecret.name: an API token with the server role auditor" }}{{ end -}}
{{- if and $v.web.ingress.enabled (not $v.web.ingress.hosts) }}{{ fail "web.ingress needs hosts" }}{{ end -}}
{{- end -}}

{{/* A value of a setting as the text of a variable: lists are separated by commas. */}}
{{- define "kastrel.text" -}}
{{- if kindIs "slice" . -}}
{{- join "," . -}}
{{- else if kindIs "float64" . -}}
{{- /* A number of a values file; without an exponent. */ -}}
{{- if eq (floor .) . }}{{ int64 . }}{{ else }}{{ . }}{{ end -}}
{{- else -}}
{{- . -}}
{{- end -}}
{{- end -}}

{{/* The variables of a part that hold no secret, as YAML of a dict. */}}
{{- define "kastrel.variables" -}}
{{- $v := .root.Values -}}
{{- $isCluster := eq $v.mode "cluster" -}}
{{- $env := dict "HOME" "/var/lib/kastrel" "KASTREL_DATA_DIR" "/var/lib/kastrel/data" "KASTREL_LOG__FORMAT" "json" "KASTREL_AUTH_MODE" "local" -}}
{{- if $v.secretsKey.name }}{{ $_ := set $env "KASTREL_SECRETS__KEY_FILE" "/run/kastrel/secrets-key/secrets.key" }}{{ end -}}
{{- if $v.scope.allow }}{{ $_ := set $env "KASTREL_SCOPE__ALLOW" (join "," $v.scope.allow) }}{{ end -}}
{{- if $v.scope.deny }}{{ $_ := set $env "KASTREL_SCOPE__DENY" (join "," $v.scope.deny) }}{{ end -}}
{{- $_ := set $env "KASTREL_ALLOW_PRIVATE_TARGETS" (toString $v.scope.allowPrivate) -}}
{{- with $v.results.bucket }}{{ if .url -}}
{{- $_ := set $env "KASTREL_ARTIFACTS__URL" .url -}}
{{- if .endpoint }}{{ $_ := set $env "KASTREL_ARTIFACTS__ENDPOINT" .endpoint }}{{ end -}}
{{- if .region }}{{ $_ := set $env "KASTREL_ARTIFACTS__REGION" .region }}{{ end -}}
{{- end }}{{ end -}}
{{- if and $isCluster (not $v.results.bucket.url) }}{{ $_ := set $env "KAST_RESULTS_DIR" "/results/scans" }}{{ end -}}
{{- with $v.telemetry -}}
{{- if .otlpEndpoint -}}
{{- $_ := set $env "OTEL_EXPORTER_OTLP_ENDPOINT" .otlpEndpoint -}}
{{- $_ := set $env "OTEL_EXPORTER_OTLP_PROTOCOL" .protocol -}}
{{- $_ := set $env "OTEL_METRICS_EXPORTER" .metrics -}}
{{- end -}}
{{- if .traceUrl }}{{ $_ := set $env "KASTREL_TELEMETRY__TRACE_URL" .traceUrl }}{{ end -}}
{{- end -}}
{{- if or (eq .part "worker") (and (eq .part "web") (not $isCluster)) -}}
{{- $_ := set $env "KASTREL_SCANS__CONCURRENCY" (toString (int $v.scans.concurrency)) -}}
{{- $_ := set $env "KASTREL_SCANS__SHUTDOWN_FINISH_SECONDS" (toString (int $v.scans.finishSeconds)) -}}
{{- $_ := set $env "KASTREL_SCANS__SHUTDOWN_GRACE_SECONDS" (toString (int $v.scans.graceSeconds)) -}}
{{- end -}}
{{- if eq .part "worker" -}}
{{- $_ := set $env "KASTREL_WORKER__LISTEN" "0.0.0.0:5001" -}}
{{- /* The network policy keeps others out. */ -}}
{{- $_ := set $env "KASTREL_WORKER__ALLOW_ANY_ADDRESS" "true" -}}
{{- end -}}
{{- if eq .part "web" -}}
{{- /* The other parts sign nobody in, so they need no identity provider. */ -}}
{{- $_ := set $env "KASTREL_AUTH_MODE" $v.auth.mode -}}
{{- $_ := set $env "KASTREL_LISTEN" "0.0.0.0:5000" -}}
{{- if $v.publicUrl }}{{ $_ := set $env "KASTREL_PUBLIC_URL" $v.publicUrl }}{{ end -}}
{{- $service := printf "%s-web" (include "kastrel.fullname" .root) -}}
{{- $inNamespace := printf "%s.%s" $service .root.Release.Namespace -}}
{{- $hosts := list $service $inNamespace (printf "%s.svc" $inNamespace) (printf "%s.svc.%s" $inNamespace $v.clusterDomain) -}}
{{- if $v.web.ingress.enabled }}{{ $hosts = concat $hosts $v.web.ingress.hosts }}{{ end -}}
{{- $_ := set $env "KASTREL_SERVER__ALLOWED_HOSTS" (join "," (concat $hosts $v.web.allowedHosts | uniq)) -}}
{{- if $v.web.trustedProxies }}{{ $_ := set $env "KASTREL_SERVER__TRUSTED_PROXIES" (join "," $v.web.trustedProxies) }}{{ end -}}
{{- if $v.tls.secretName -}}
{{- $_ := set $env "KASTREL_SERVER__TLS_CERTIFICATE" "/run/kastrel/tls/tls.crt" -}}
{{- $_ := set $env "KASTREL_SERVER__TLS_KEY" "/run/kastrel/tls/tls.key" -}}
{{- end -}}
{{- if $v.auth.adminPasswordSecret.name }}{{ $_ := set $env "KASTREL_ADMIN_PASSWORD_FILE" "/run/kastrel/admin-password/password" }}{{ end -}}
{{- if eq $v.auth.mode "oidc" -}}
{{- $_ := set $env "KASTREL_OIDC__ISSUER" $v.auth.oidc.issuer -}}
{{- $_ := set $env "KASTREL_OIDC__CLIENT_ID" $v.auth.oidc.clientId -}}
{{- if $v.auth.oidc.clientSecret.name }}{{ $_ := set $env "KASTREL_OIDC__CLIENT_SECRET_FILE" "/run/kastrel/oidc/client-secret" }}{{ end -}}
{{- end -}}
{{- if $v.mail.from }}{{ $_ := set $env "KASTREL_MAIL__FROM" $v.mail.from }}{{ end -}}
{{- if and (not $isCluster) $v.backup.enabled -}}
{{- $_ := set $env "KASTREL_BACKUP__DIR" "/backups/kastrel" -}}
{{- $_ := set $env "KASTREL_BACKUP__KEEP" (toString (int $v.backup.keep)) -}}
{{- end -}}
{{- end -}}
{{- /* The secret values and the short names of keys stand for keys as well. */ -}}
{{- $taken := dict "database.url" 1 "redis.url" 1 "mail.smtp_url" 1 "artifacts.access_key_id" 1 "artifacts.secret_access_key" 1 "server.listen" 1 "server.public_url" 1 "auth.mode" 1 "auth.admin_password_file" 1 "oidc.client_secret" 1 "data.dir" 1 "data.results_dir" 1 "scope.allow_private" 1 "scans.concurrency" 1 "scans.shutdown_finish_seconds" 1 "scans.shutdown_grace_seconds" 1 "scans.run_as" 1 "worker.listen" 1 "worker.allow_any_address" 1 "server.allowed_hosts" 1 "server.trusted_proxies" 1 -}}
{{- range $key, $value := $v.settings -}}
{{- $name := printf "KASTREL_%s" ($key | replace "." "__" | upper) -}}
{{- if or (hasKey $taken $key) (hasKey $env $name) }}{{ fail (printf "settings: %s has a value of its own in the chart" $key) }}{{ end -}}
{{- $_ := set $env $name (include "kastrel.text" $value) -}}
{{- end -}}
{{- toYaml $env -}}
{{- end -}}

{{/* The environment of a container. Takes `root`, `part` and `extra`. */}}
{{- define "kastrel.env" -}}
{{- $v := .root.Values -}}
{{- range $name, $value := include "kastrel.variables" . | fromYaml }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- if eq $v.mode "cluster" }}
- name: KASTREL_DATABASE_URL
  valueFrom:
    secretKeyRef:
      name: {{ $v.database.urlSecret.name }}
      key: {{ $v.database.urlSecret.key }}
{{- if ne .part "backup" }}
- name: REDIS_URL
  valueFrom:
    secretKeyRef:
      name: {{ $v.redis.urlSecret.name }}
      key: {{ $v.redis.urlSecret.key }}
{{- end }}
{{- end }}
{{- if and $v.results.bucket.url $v.results.bucket.credentialsSecret.name }}
- name: KASTREL_ARTIFACTS__ACCESS_KEY_ID
  valueFrom:
    secretKeyRef:
      name: {{ $v.results.bucket.credentialsSecret.name }}
      key: {{ $v.results.bucket.credentialsSecret.accessKeyIdKey }}
- name: KASTREL_ARTIFACTS__SECRET_ACCESS_KEY
  valueFrom:
    secretKeyRef:
      name: {{ $v.results.bucket.credentialsSecret.name }}
      key: {{ $v.results.bucket.credentialsSecret.secretAccessKeyKey }}
{{- end }}
{{- if and (eq .part "web") $v.mail.smtpUrlSecret.name }}
- name: KASTREL_MAIL__SMTP_URL
  valueFrom:
    secretKeyRef:
      name: {{ $v.mail.smtpUrlSecret.name }}
      key: {{ $v.mail.smtpUrlSecret.key }}
{{- end }}
{{- with .extra }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The fields of every pod. Takes `root`, `part` and `own`: the values of the part. */}}
{{- define "kastrel.pod" -}}
serviceAccountName: {{ include "kastrel.serviceAccount" .root }}
# Kastrel does not use the API of the cluster, and scanners must not.
automountServiceAccountToken: false
# A Service named kastrel would set variables such as KASTREL_PORT.
enableServiceLinks: false
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  # The image's user `kastrel`. Its group has another number, so the volumes get this one.
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  # Kastrel removes the rights of the group from its files. A second change of the volume would give
  # them back.
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- with .own.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .own.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .own.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .own.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .own.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{- define "kastrel.containerSecurity" -}}
allowPrivilegeEscalation: false
privileged: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop:
    - ALL
{{- end -}}

{{/* What each part mounts. Takes `root` and `part`. */}}
{{- define "kastrel.mounts" -}}
{{- $v := .root.Values -}}
- name: home
  mountPath: /var/lib/kastrel
- name: tmp
  mountPath: /tmp
{{- if $v.secretsKey.name }}
- name: secrets-key
  mountPath: /run/kastrel/secrets-key
  readOnly: true
{{- end }}
{{- if and (eq $v.mode "cluster") (not $v.results.bucket.url) }}
- name: results
  mountPath: /results
{{- end }}
{{- if eq .part "web" }}
{{- if $v.tls.secretName }}
- name: tls
  mountPath: /run/kastrel/tls
  readOnly: true
{{- end }}
{{- if $v.auth.adminPasswordSecret.name }}
- name: admin-password
  mountPath: /run/kastrel/admin-password
  readOnly: true
{{- end }}
{{- if and (eq $v.auth.mode "oidc") $v.auth.oidc.clientSecret.name }}
- name: oidc
  mountPath: /run/kastrel/oidc
  readOnly: true
{{- end }}
{{- if and (ne $v.mode "cluster") $v.backup.enabled }}
- name: backups
  mountPath: /backups
{{- end }}
{{- end }}
{{- end -}}

{{/* A Secret as a volume. The group of the pod may read it, nobody else. */}}
{{- define "kastrel.secretVolume" -}}
- name: {{ .name }}
  secret:
    secretName: {{ .secret }}
    defaultMode: 0440
    {{- with .items }}
    items:
      {{- range $key, $path := . }}
      - key: {{ $key }}
        path: {{ $path }}
      {{- end }}
    {{- end }}
{{- end -}}

{{/* The volumes besides `home`, which differs. */}}
{{- define "kastrel.volumes" -}}
{{- $v := .root.Values -}}
{{- $name := include "kastrel.fullname" .root -}}
- name: tmp
  emptyDir: {}
{{- with $v.secretsKey }}{{ if .name }}
{{ include "kastrel.secretVolume" (dict "name" "secrets-key" "secret" .name "items" (dict .key "secrets.key")) }}
{{- end }}{{ end }}
{{- if and (eq $v.mode "cluster") (not $v.results.bucket.url) }}
- name: results
  persistentVolumeClaim:
    claimName: {{ $v.results.volume.existingClaim | default (printf "%s-results" $name) }}
{{- end }}
{{- if eq .part "web" }}
{{- with $v.tls.secretName }}
{{ include "kastrel.secretVolume" (dict "name" "tls" "secret" .) }}
{{- end }}
{{- with $v.auth.adminPasswordSecret }}{{ if .name }}
{{ include "kastrel.secretVolume" (dict "name" "admin-password" "secret" .name "items" (dict .key "password")) }}
{{- end }}{{ end }}
{{- if eq $v.auth.mode "oidc" }}{{ with $v.auth.oidc.clientSecret }}{{ if .name }}
{{ include "kastrel.secretVolume" (dict "name" "oidc" "secret" .name "items" (dict .key "client-secret")) }}
{{- end }}{{ end }}{{ end }}
{{- if and (ne $v.mode "cluster") $v.backup.enabled }}
- name: backups
  persistentVolumeClaim:
    claimName: {{ $v.backup.volume.existingClaim | default (printf "%s-backups" $name) }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The time that a pod with scans gets to stop: that of Kastrel, and a reserve. */}}
{{- define "kastrel.grace" -}}
{{- add (int .Values.scans.finishSeconds) (int .Values.scans.graceSeconds) 30 -}}
{{- end -}}

{{/* A claim. Takes `root`, `part`, `name`, `volume` and `access`. */}}
{{- define "kastrel.claim" -}}
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "kastrel.labels" . | nindent 4 }}
  annotations:
    # `helm uninstall` keeps what people would miss.
    helm.sh/resource-policy: keep
spec:
  accessModes:
    - {{ .access }}
  {{- with .volume.storageClass }}
  storageClassName: {{ . }}
  {{- end }}
  resources:
    requests:
      storage: {{ .volume.size }}
{{- end -}}
