import Glibc
import Synchronization

/// One child process with bounded time and output, in a process group of its own. Blocks its thread.
enum ChildProcess {
    struct Output {
        var bytes: [UInt8] = []
        var isTruncated = false
    }

    enum End {
        case notStarted(reason: String)
        /// 128 + signal when a signal ended it.
        case exited(code: Int32, output: Output, error: Output)
        case timedOut
        case canceled
    }

    static func run(_ argv: [String], timeoutSeconds: Int, maxOutputBytes: Int, isCanceled: () -> Bool) -> End {
        var outputPipe: [Int32] = [-1, -1]
        var errorPipe: [Int32] = [-1, -1]
        defer { for descriptor in outputPipe + errorPipe where descriptor >= 0 { close(descriptor) } }
        var child: pid_t = 0
        // One at a time: a child that starts between another's `pipe` and `fcntl` would inherit its pipe.
        let failure = spawning.withLock { _ -> Int32 in
            guard pipe(&outputPipe) == 0, pipe(&errorPipe) == 0 else { return errno }
            for descriptor in outputPipe + errorPipe { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
            return spawn(argv, output: outputPipe[1], error: errorPipe[1], child: &child)
        }
        guard failure == 0 else { return .notStarted(reason: String(cString: strerror(failure))) }
        // Only the child may hold the writing ends, or their end would never be seen.
        close(outputPipe[1])
        close(errorPipe[1])
        (outputPipe[1], errorPipe[1]) = (-1, -1)
        return follow(
            child, output: outputPipe[0], error: errorPipe[0], until: .now + .seconds(timeoutSeconds), maxOutputBytes: maxOutputBytes,
            isCanceled: isCanceled)
    }

    private static let spawning = Mutex(())

    private static func spawn(_ argv: [String], output: Int32, error: Int32, child: inout pid_t) -> Int32 {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO)
        posix_spawn_file_actions_adddup2(&actions, error, STDERR_FILENO)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // This process ignores SIGINT, SIGTERM and SIGPIPE; the child must not inherit that.
        var all = sigset_t()
        var none = sigset_t()
        sigfillset(&all)
        sigemptyset(&none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK))
        // The rest of the environment, with the gateway's key perhaps, is none of the command's business.
        let environment = ["PATH", "HOME", "LANG", "LC_ALL", "TZ"].compactMap { name in Environment[name].map { "\(name)=\($0)" } }
        return withCStrings(argv) { argv in
            withCStrings(environment) { environment in
                argv[0].map { posix_spawnp(&child, $0, &actions, &attributes, argv, environment) } ?? EINVAL
            }
        }
    }

    private static func follow(
        _ child: pid_t, output: Int32, error: Int32, until deadline: ContinuousClock.Instant, maxOutputBytes: Int, isCanceled: () -> Bool
    ) -> End {
        for descriptor in [output, error] { _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK) }
        var results = [Output(), Output()]
        var descriptors = [pollfd(fd: output, events: Int16(POLLIN), revents: 0), pollfd(fd: error, events: Int16(POLLIN), revents: 0)]
        while true {
            // Wakes up for output, and often enough to see the end, the deadline and a cancel.
            poll(&descriptors, nfds_t(descriptors.count), 20)
            for index in descriptors.indices
            where descriptors[index].fd >= 0 && !drain(descriptors[index].fd, into: &results[index], maxOutputBytes) {
                descriptors[index].fd = -1
            }
            var status: Int32 = 0
            if hasEnded(child) {
                // What it left in its group ends with it. The child's number is its own until it is waited for, and so is the group's.
                kill(-child, SIGKILL)
                while waitpid(child, &status, 0) < 0, errno == EINTR {}
                for index in descriptors.indices where descriptors[index].fd >= 0 {
                    _ = drain(descriptors[index].fd, into: &results[index], maxOutputBytes)
                }
                let signal = status & 0x7F
                return .exited(code: signal == 0 ? (status >> 8) & 0xFF : 128 + signal, output: results[0], error: results[1])
            }
            let canceled = isCanceled()
            guard canceled || ContinuousClock.now >= deadline else { continue }
            kill(-child, SIGKILL)
            while waitpid(child, &status, 0) < 0, errno == EINTR {}
            return canceled ? .canceled : .timedOut
        }
    }

    /// Leaves the end to be taken by `waitpid`.
    private static func hasEnded(_ child: pid_t) -> Bool {
        var information = siginfo_t()
        return waitid(P_PID, id_t(child), &information, WEXITED | WNOHANG | WNOWAIT) == 0 && information.si_signo == SIGCHLD
    }

    /// False at the end of the stream. At most 4 MiB at once, so that a child that never stops writing cannot hold the deadline up.
    private static func drain(_ descriptor: Int32, into output: inout Output, _ maxBytes: Int) -> Bool {
        var chunk = [UInt8](repeating: 0, count: 64 * 1024)
        for _ in 0..<64 {
            let count = read(descriptor, &chunk, chunk.count)
            if count == 0 { return false }
            if count < 0 { return errno == EAGAIN || errno == EINTR }
            let room = maxBytes - output.bytes.count
            output.bytes += chunk[..<min(room, count)]
            if count > room { output.isTruncated = true }
        }
        return true
    }

    private static func withCStrings<Result>(
        _ strings: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> Result
    ) -> Result {
        let pointers: [UnsafeMutablePointer<CChar>?] = strings.map { strdup($0) } + [nil]
        defer { for pointer in pointers { free(pointer) } }
        return body(pointers)
    }
}
