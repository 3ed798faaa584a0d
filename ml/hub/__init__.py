"""The hub: revisions of models with the settings they were approved with, published and pulled.

| room | what it does |
|---|---|
| `store` | the port: named, immutable objects in a folder (`folder`) or an S3 bucket (`s3`) |
| `patience` | tries again what may pass, resumes downloads |
| `revision` | the manifest of a revision and everything it may not say |
| `signing` | Ed25519 keys and signed manifests |
| `catalogue` | what is published, and which of it is to be pulled |
| `publish`, `fetch` | push and pull |
| `access` | where the hub and the keys are, from the environment |

A store is never trusted: what comes from it is used only after its signature and hashes held.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
