"""Posts.xml of a Stack Exchange dump to sources of domain qa: questions whose accepted answer links to pages.

    python eval/synthesis/stackexchange.py Posts.xml pages/ > biology.jsonl 2> missing.txt

A page is looked for at pages/<first 16 hex digits of its URL's sha256>.html; `missing.txt` lists "file<TAB>URL" of
those not there yet, for a downloader of your choice. Run it again once they are there.
"""

import hashlib
import json
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

from reasonrank_pyserini.training.synthesis.pages import html_text

posts, folder = Path(sys.argv[1]), Path(sys.argv[2])
questions = {}
for _, row in ElementTree.iterparse(posts):
    if row.get("PostTypeId") == "1" and row.get("AcceptedAnswerId"):
        question = f"{row.get('Title', '')}\n\n{html_text(row.get('Body', '').encode())[1].strip()}"
        questions[row.get("AcceptedAnswerId")] = (row.get("Id"), question)
    elif row.get("Id") in questions and row.get("PostTypeId") == "2":
        (id, question), body = questions.pop(row.get("Id")), row.get("Body", "")
        urls = dict.fromkeys(re.findall(r'<a href="(https?://[^"]+)"', body))
        pages = [(folder / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}.html", url) for url in urls]
        there = [{"file": str(file.resolve()), "url": url} for file, url in pages if file.is_file()]
        sys.stderr.writelines(f"{file}\t{url}\n" for file, url in pages if not file.is_file())
        if there:
            answer = html_text(body.encode())[1].strip()
            print(json.dumps({"id": id, "query": question, "answer": answer, "pages": there}))
    row.clear()
