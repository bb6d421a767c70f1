# Starts a server on this machine with some files and archives, writes the list that pins them, and runs the steps of
# get_data_steps.cmake beside it. Needs WORK, PYTHON, SOURCE.
include(${CMAKE_CURRENT_LIST_DIR}/script_tools.cmake)
file(WRITE ${WORK}/serve.py "
import http.server, os, sys, threading
class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words): pass
os.chdir(sys.argv[1])
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Quiet)
threading.Thread(target=server.serve_forever, daemon=True).start()
import hashlib, io, subprocess, tarfile, zipfile
base = 'http://127.0.0.1:%d' % server.server_port
os.makedirs('home')
open('home/a.jsonl', 'w').write('{}\\n')
rows = b'q,\"x\\ny\",A\\r\\n'
with tarfile.open('home/data.tar', 'w') as archive:
    for name in ('one.csv', 'two.csv'):
        member = tarfile.TarInfo('data/' + name)
        member.size = len(rows)
        archive.addfile(member, io.BytesIO(rows))
with zipfile.ZipFile('home/text.zip', 'w') as archive:
    archive.writestr('raw/text', 'words')
sha = lambda data: hashlib.sha256(data).hexdigest()
lines = ['archive - sha256:%s %s/home/data.tar' % (sha(open('home/data.tar', 'rb').read()), base),
         'archive - sha256:%s %s/home/text.zip' % (sha(open('home/text.zip', 'rb').read()), base),
         'plain plain/a.jsonl sha256:%s %s/home/a.jsonl' % (sha(b'{}\\n'), base),
         'tar tar/one.csv records:%s %s/home/data.tar#data/one.csv' % (sha(b'q\\x1fx\\ny\\x1fA'), base),
         'tar tar/two.csv - %s/home/data.tar#data/two.csv' % base,
         'zip zip/text sha256:%s %s/home/text.zip#raw/text' % (sha(b'words'), base),
         'wrong wrong/a.jsonl sha256:%s %s/home/a.jsonl' % ('0' * 64, base),
         'gone gone/b sha256:%s %s/home/b' % ('0' * 64, base)]
open('list', 'w').write('# a comment\\n' + '\\n'.join(lines) + '\\n')
sys.exit(subprocess.run(sys.argv[2:]).returncode)
")
# The server lives as long as the steps.
run("get_data" ${PYTHON} ${WORK}/serve.py ${WORK} ${CMAKE_COMMAND} -DWORK=${WORK} -DSOURCE=${SOURCE}
    -P ${CMAKE_CURRENT_LIST_DIR}/get_data_steps.cmake)
