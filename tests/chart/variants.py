"""tests/chart/variants.py: ways in which people install the chart, each as arguments of Helm.
SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import json

# The published command line, as printed, with something in place of its <…>.
PUBLISHED = [
    *("--set", "clusterId=My First Cluster"),
    *("--set", "workspaceId=0199-workspace"),
    *("--set", "clientId=a-client"),
    *("--set", "clientSecret=a-secret"),
    *("--set", "scheduler.deployment.runtimeContainer.resources.requests.memory=1Gi"),
    *("--set", "worker.deployment.replicaCount=2"),
    *("--set", "worker.deployment.runtimeContainer.resources.requests.memory=4Gi"),
    *("--set", "worker.deployment.runtimeContainer.resources.limits.memory=4Gi"),
    *("--set", "anonymousResults.temporaryStorage.enabled=true"),
]

_SECRET = {"secretKeyRef": {"name": "storage", "key": "secret"}}
_OPTIONS = [{"name": "aws_region", "value": "eu-west-1"}, {"name": "aws_secret_access_key", "valueFrom": _SECRET}]


def values(**given: object) -> list[str]:
    """`a__b=c` stands for the value `a.b`."""
    pairs = [(k.replace("__", "."), json.dumps(v)) for k, v in given.items()]
    return [x for path, text in pairs for x in ("--set-json", f"{path}={text}")]


_ON_PREM = values(
    license__onPrem__enabled=True,
    license__onPrem__workspaceId="0199-workspace",
    license__onPrem__clientId="a-client",
    license__onPrem__clientSecret="a-secret",
)
_S3 = values(
    anonymousResults__s3__enabled=True,
    anonymousResults__s3__endpoint="s3://results/floe",
    anonymousResults__s3__options=[*_OPTIONS, {"name": "external_endpoint", "value": "https://s3.example.org"}],
)

VARIANTS: dict[str, list[str]] = {
    "published": PUBLISHED,
    "defaults": [],
    "license_on_prem": [*_ON_PREM, *values(anonymousResults__temporaryStorage__enabled=True)],
    "license_secrets": values(
        license__onPrem__enabled=True,
        license__onPrem__workspaceId="0199-workspace",
        license__onPrem__clientId={"valueFrom": _SECRET},
        license__onPrem__clientSecret={"valueFrom": _SECRET},
        license__onPrem__licenseData__enabled=True,
    ),
    "license_file": values(
        license__onPremEnterprise={"enabled": True, "secretName": "license", "secretProperty": "license.json"},
        acceptEula=True,
    ),
    "license_null": ["--set", "license=null"],
    "control_plane": values(controlPlane__address="https://polars.example.org"),
    "results_s3": _S3,
    "results_shared": values(anonymousResults__sharedFilesystem={"enabled": True, "existingClaimName": "results"}),
    "results_abs": values(anonymousResults__abs__enabled=True),
    "results_gcs": values(anonymousResults__gcs__enabled=True),
    "storage_elsewhere": values(
        anonymousResults__temporaryStorage={"enabled": True, "presignEndpointUrl": "https://s3.example.org"},
        temporaryStorage__services__s3__type="NodePort",
        temporaryStorage__existingSecret="storage",
    ),
    "shuffle_ephemeral": values(
        shuffleData__ephemeralVolumeClaim={"enabled": True, "storageClassName": "fast", "size": "500Gi"},
        temporaryData__ephemeralVolumeClaim__enabled=True,
    ),
    "shuffle_shared": values(shuffleData__sharedPersistentVolumeClaim={"enabled": True, "storageClassName": "nfs"}),
    "shuffle_existing": values(
        shuffleData__sharedPersistentVolumeClaim={"enabled": True, "create": False, "existingClaimName": "shuffle"}
    ),
    "shuffle_s3": values(shuffleData__s3={"enabled": True, "endpoint": "s3://shuffle/floe", "options": _OPTIONS}),
    "checkpoint": values(
        checkpoint={"enabled": True, "period": "5m", "s3": {"enabled": True, "endpoint": "s3://b/p", "options": _OPTIONS}}
    ),
    "observed": values(
        observatory__persistentVolumeClaim__enabled=True,
        telemetry__otlpEndpoint="http://otel:4317",
        lineage__enabled=True,
        disableHostMetrics=True,
        logLevel="debug",
    ),
    "placed": values(
        worker__deployment__nodeSelector={"pool": "polars"},
        worker__deployment__tolerations=[{"key": "dedicated", "operator": "Exists"}],
        worker__deployment__affinity={"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
        worker__deployment__topologySpreadConstraints=[
            {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
        ],
        worker__deployment__priorityClassName="high",
        worker__deployment__replicaCount=8,
        worker__deployment__runtimeContainer__resources={
            "requests": {"cpu": 2, "memory": "16Gi"},
            "limits": {"memory": "16Gi"},
        },
        scheduler__deployment__hostAliases=[{"ip": "10.0.0.1", "hostnames": ["storage"]}],
    ),
    "autoscaled": values(worker__deployment__replicaCount=None, worker__podDisruptionBudget__enabled=True),
    "accounts": values(
        scheduler__serviceAccount={"create": True},
        worker__serviceAccount={"create": True, "name": "w", "annotations": {"role": "reader"}},
        tests__serviceAccount={"name": "t"},
    ),
    "requirements": values(runtime__composed={"requirements": "numpy==2.3.0\n", "polarsExtras": "numpy"}),
    "prebuilt": values(
        runtime__composed__enabled=False,
        runtime__prebuilt={"enabled": True, "runtime": {"repository": "registry.example.org/floe", "tag": "1"}},
        imagePullSecrets=[{"name": "pull"}],
    ),
    "secured": values(
        tls={"enabled": True, "secretName": "tls"},
        auth={"tokensSecret": "users", "admins": "root", "jwks": {"url": "https://idp/jwks", "audience": "polars"}},
        clusterToken__existingSecret="token",
        networkPolicy={"enabled": True, "clients": [{"namespaceSelector": {}}]},
        denyAnonymousUsers=True,
    ),
    "reached": values(
        scheduler__services__scheduler={"type": "LoadBalancer", "annotations": {"internal": "true"}},
        ingress__observatory={"enabled": True, "host": "polars.example.org", "tlsSecretName": "tls", "className": "nginx"},
        ingress__scheduler={"enabled": True, "host": "grpc.example.org", "annotations": {"protocol": "GRPC"}},
    ),
    "named": ["--set", "nameOverride=engine", "--set", "podLabels.team=data", "--set", "podAnnotations.seen=yes"],
    "renamed": ["--set", "fullnameOverride=engine"],
    "more": values(
        worker__deployment__runtimeContainer={
            "env": [{"name": "PC_CUBLET__worker__slots", "value": "4"}],
            "volumeMounts": [{"name": "data", "mountPath": "/data"}],
            "lifecycleHooks": {"preStop": {"exec": {"command": ["sleep", "5"]}}},
        },
        worker__deployment__volumes=[{"name": "data", "hostPath": {"path": "/data"}}],
        worker__deployment__podSecurityContext=None,
        scheduler__deployment__rollout__strategy="RollingUpdate",
    ),
}

# What must not render, and a word that Helm then says.
REFUSED: dict[str, tuple[list[str], str]] = {
    "unknown_key": (values(clusterid="x"), "clusterid"),
    "unknown_inner_key": (values(worker__deployment__replicas=2), "replicas"),
    "text_for_number": (values(worker__deployment__replicaCount="two"), "replicaCount"),
    "number_for_flag": (values(anonymousResults__s3__enabled=1), "enabled"),
    "negative": (values(worker__deployment__replicaCount=-1), "replicaCount"),
    "unknown_choice": (values(logLevel="loud"), "logLevel"),
    "url_as_option": (values(anonymousResults__s3__options=[{"name": "url", "value": "s3://b"}]), "name"),
    "nameless_option": (values(shuffleData__s3__options=[{"value": "v"}]), "name"),
    "half_a_license": (values(workspaceId="w", clientId="c"), "clientSecret is missing"),
    "two_licenses": (
        [*_ON_PREM, *values(license__onPremEnterprise={"enabled": True, "secretName": "s", "secretProperty": "p"})],
        "remove one",
    ),
    "claim_made_and_given": (
        values(observatory__persistentVolumeClaim={"enabled": True, "existingClaimName": "mine"}),
        "existingClaimName",
    ),
    "tls_without_secret": (values(tls__enabled=True), "tls.secretName"),
    "ingress_without_host": (values(ingress__scheduler__enabled=True), "ingress.scheduler.host"),
}
