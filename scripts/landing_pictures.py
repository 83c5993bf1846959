"""Make the pictures of the landing page from a running ARUN whose demo bot has bought something.

    .venv/bin/python scripts/landing_pictures.py --address http://localhost:8000 --email EMAIL --password PASSWORD

Writes static/img/screens/NAME-light.webp and NAME-dark.webp. Nothing is drawn over them; what they show is what the
account showed. The browser itself encodes them.
"""

import argparse
import base64
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

FOLDER = Path(__file__).resolve().parent.parent / "static" / "img" / "screens"
QUALITY = 0.82
ENCODE = """async ([png, width, height, quality]) => {
  const image = new Image();
  image.src = `data:image/png;base64,${png}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d").drawImage(image, 0, 0, width, height);
  return canvas.toDataURL("image/webp", quality).split(",")[1];
}"""


def log_in(page: Page, given: argparse.Namespace) -> None:
    page.goto(f"{given.address}/accounts/login/")
    page.get_by_label("Email").fill(given.email)
    page.get_by_label("Password").fill(given.password)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/home/")
    page.wait_for_timeout(1500)


def store(page: Page, blank: Page, name: str, scheme: str, *, width: int, height: int, scale: int = 1) -> None:
    png = base64.b64encode(page.screenshot()).decode()
    webp = blank.evaluate(ENCODE, [png, width * scale, height * scale, QUALITY])
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{name}-{scheme}.webp").write_bytes(base64.b64decode(webp))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--address", default="http://localhost:8000")
    parser.add_argument("--email", required=True)
    parser.add_argument("--password", required=True)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    given = parser.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=given.chromium, args=["--no-sandbox", "--disable-gpu"])
        blank = browser.new_page()
        for scheme in ("light", "dark"):
            desk = browser.new_page(viewport={"width": 1280, "height": 860}, color_scheme=scheme)
            log_in(desk, given)
            store(desk, blank, "home", scheme, width=1280, height=860)
            phone = browser.new_page(viewport={"width": 360, "height": 640}, color_scheme=scheme, device_scale_factor=2)
            log_in(phone, given)
            phone.goto(f"{given.address}/positions/")
            phone.wait_for_timeout(1000)
            store(phone, blank, "phone-positions", scheme, width=360, height=640, scale=2)
            phone.goto(f"{given.address}/home/")
            phone.get_by_role("link", name="Stop", exact=True).click()
            phone.get_by_role("dialog").wait_for()
            phone.wait_for_timeout(700)
            store(phone, blank, "phone-stop", scheme, width=360, height=640, scale=2)
        browser.close()


if __name__ == "__main__":
    main()
