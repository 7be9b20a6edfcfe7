"""What Python programs take for granted works behind the seal, and tells the truth."""

import textwrap

SCRIPT = """
    import asyncio, concurrent.futures, http.server, multiprocessing, os, pathlib, signal, socket
    import subprocess, sys, tempfile, threading, urllib.request, uuid
    from multiprocessing import shared_memory

    def square(number):
        return number * number

    def pool(method):
        context = multiprocessing.get_context(method)
        with context.Pool(2) as workers:
            return sum(workers.map(square, range(10)))

    def server():
        web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
        threading.Thread(target=web.serve_forever, daemon=True).start()
        with urllib.request.urlopen(f"http://127.0.0.1:{web.server_port}/", timeout=60) as answer:
            return answer.status

    def shared():
        block = shared_memory.SharedMemory(create=True, size=1 << 20)
        try:
            block.buf[:3] = b"abc"
            other = shared_memory.SharedMemory(block.name)
            return bytes(other.buf[:3]).decode()
        finally:
            block.unlink()

    async def spawn():
        child = await asyncio.create_subprocess_exec("/bin/echo", "asyncio", stdout=asyncio.subprocess.PIPE)
        return (await child.communicate())[0].decode().strip()

    def numpy_and_joblib():
        import joblib, numpy
        numbers = numpy.arange(10.0)
        product = float(numbers @ numbers)
        return joblib.Parallel(n_jobs=2)(joblib.delayed(square)(n) for n in range(3)), product

    def temporary():
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "link")
            path.symlink_to("nowhere")
            os.utime(folder, (0, 0))
            os.chmod(folder, 0o700)
            return path.is_symlink()

    def main():
        print("fork", pool("fork"))
        print("spawn", pool("spawn"))
        with concurrent.futures.ProcessPoolExecutor(2) as workers:
            print("executor", sum(workers.map(square, range(10))))
        print("server", server())
        print("shared", shared())
        print("asyncio", asyncio.run(spawn()))
        print("numpy", numpy_and_joblib())
        print("temporary", temporary())
        print("self", socket.gethostname(), socket.gethostbyname(socket.gethostname()))
        print("localhost", socket.gethostbyname("localhost"))
        print("processors", os.cpu_count() >= 1, len(os.sched_getaffinity(0)) >= 1)
        print("run", subprocess.run(["sh", "-c", "cat; exit 3"], input=b"", timeout=60).returncode)
        print("stdout", open("/dev/stdout", "w").write(""))
        print("random", len(os.urandom(16)), len(str(uuid.uuid4())))
        print("user", os.path.expanduser("~"), os.getcwd())
        signal.signal(signal.SIGALRM, lambda *_: None)
        # Again and again: the first one may come before anybody waits for it.
        signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
        signal.pause()
        print("done")

    if __name__ == "__main__":
        sys.stdout.reconfigure(line_buffering=True)
        main()
"""


def test_processes_sockets_and_shared_memory_work(belljar, sklearn_image, folder):
    code = folder / "code"
    code.mkdir()
    (code / "try.py").write_text(textwrap.dedent(SCRIPT))
    job = belljar.train(
        sklearn_image,
        folder / "output",
        inputs={"code": code},
        extra=("--entrypoint", "python3", "--argument", "/opt/ml/input/data/code/try.py"),
    ).completed()
    said = dict(line.split(" ", 1) for line in job.log if " " in line)
    assert said["fork"] == said["spawn"] == said["executor"] == "285", job.log
    assert said["server"] == "200"
    assert said["shared"] == "abc"
    assert said["asyncio"] == "asyncio"
    assert said["numpy"] == "([0, 1, 4], 285.0)"
    assert said["temporary"] == "True"
    assert said["self"].startswith("algo-1 "), said["self"]
    assert said["localhost"] == "127.0.0.1"
    assert said["processors"] == "True True"
    assert said["run"] == "3"
    assert job.log[-1] == "done", job.log
    # All of that was inside: nothing of it counts as an attempt to reach out.
    assert job.report["attempts"]["targets"] == [], job.report["attempts"]
