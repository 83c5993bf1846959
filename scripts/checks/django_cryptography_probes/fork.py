"""Try django-cryptography-5. Arguments: database file, step, key in use, key that wrote the rows.

Each step ends with 0 when it shows what it is about, and with 1 when the package behaves better.
"""

import pickle
import sys

import django
from django.conf import settings

DATABASE, STEP, KEY, FIRST_KEY = sys.argv[1:]

settings.configure(
    SECRET_KEY=KEY,
    SECRET_KEY_FALLBACKS=[FIRST_KEY] if KEY != FIRST_KEY else [],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DATABASE}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    USE_TZ=True,
)
django.setup()

from django.db import connection, models  # noqa: E402
from django_cryptography.fields import encrypt  # noqa: E402
from django_cryptography.utils.crypto import FernetBytes  # noqa: E402


class Credential(models.Model):
    tenant = models.CharField(max_length=20, unique=True)
    access_token = encrypt(models.TextField(default=""))
    pin = encrypt(models.TextField(default=""))

    class Meta:
        app_label = "probe"

    def __str__(self) -> str:
        return self.tenant


class Crafted:
    """A value whose unpickling calls a function. Here it only sets a flag; it could start a program."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("import sys; sys.arun_flag = 'set by the stored value'",)


def execute(sql: str, *values: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)


def write() -> bool:
    with connection.schema_editor() as editor:
        editor.create_model(Credential)
    Credential.objects.create(tenant="A", access_token="token of tenant A", pin="1111")  # noqa: S106 - made up
    Credential.objects.create(tenant="B", access_token="token of tenant B", pin="2222")  # noqa: S106 - made up
    return True


def swap() -> bool:
    execute(
        "UPDATE probe_credential SET pin = (SELECT access_token FROM probe_credential WHERE tenant = 'A') "
        "WHERE tenant = 'B'"
    )
    pin = Credential.objects.get(tenant="B").pin
    sys.stdout.write(f"A's access_token copied over B's pin, B's pin reads: {pin!r}\n")
    return bool(pin == "token of tenant A")


def unpickle() -> bool:
    execute("UPDATE probe_credential SET pin = %s WHERE tenant = 'B'", FernetBytes().encrypt(pickle.dumps(Crafted())))
    Credential.objects.get(tenant="B")
    flag = getattr(sys, "arun_flag", None)
    sys.stdout.write(f"a crafted value read from the table, the flag is: {flag!r}\n")
    return flag is not None


def rotate() -> bool:
    try:
        value = Credential.objects.get(tenant="A").access_token
    except Exception as error:  # noqa: BLE001 - whatever it raises is the finding
        sys.stdout.write(f"SECRET_KEY changed, the old one in SECRET_KEY_FALLBACKS, A's row: {error!r}\n")
        return True
    sys.stdout.write(f"SECRET_KEY changed, A's row still reads: {value!r}\n")
    return False


STEPS = {"write": write, "swap": swap, "unpickle": unpickle, "rotate": rotate}
sys.exit(0 if STEPS[STEP]() else 1)
