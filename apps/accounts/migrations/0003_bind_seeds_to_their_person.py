"""Seal stored seeds anew, bound to the person they belong to. May run again: what is bound already stays."""

import base64
import os

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.db import migrations

_FIELDS = {"totp": "secret", "recovery_codes": "seed"}
_FIRST, _SECOND = b"arun/mfa-seed/v1", b"arun/mfa-seed/v2"


def _cipher(purpose):
    return AESGCM(HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(settings.SECRET_KEY.encode()))


def bind(apps, schema_editor):
    if schema_editor.connection.alias != "default":
        return
    for row in apps.get_model("mfa", "Authenticator").objects.filter(type__in=_FIELDS):
        field = _FIELDS[row.type]
        blob = base64.urlsafe_b64decode(row.data[field].encode())
        if blob[:1] != b"\x01":
            continue
        seed = _cipher(_FIRST).decrypt(blob[1:13], blob[13:], _FIRST)
        nonce = os.urandom(12)
        sealed = _cipher(_SECOND).encrypt(nonce, seed, _SECOND + b"/" + row.user_id.bytes)
        row.data[field] = base64.urlsafe_b64encode(b"\x02" + nonce + sealed).decode()
        row.save(update_fields=["data"])


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_add_totp_use"),
        ("mfa", "0003_authenticator_type_uniq"),
    ]

    operations = [migrations.RunPython(bind, migrations.RunPython.noop)]
