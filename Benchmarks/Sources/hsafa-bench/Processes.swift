import Foundation
import Glibc

/// What the kernel counts for processes. CPU is in clock ticks of 10 ms, so windows are seconds long.
enum ProcessTable {
    /// User and system time of one process, in microseconds.
    static func cpuMicroseconds(_ pid: Int32) -> Double { fields(pid).map { ticks($0, 11, 12) } ?? 0 }

    /// The postmaster, what it forked, and what it forked and is gone.
    static func postgresCPUMicroseconds(_ postmaster: Int32) -> Double {
        var sum = fields(postmaster).map { ticks($0, 11, 12, 13, 14) } ?? 0
        for entry in (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? [] {
            guard let pid = Int32(entry), let stat = fields(pid), stat[1] == String(postmaster) else { continue }
            sum += ticks(stat, 11, 12)
        }
        return sum
    }

    static func residentKiB(_ pid: Int32) -> Int {
        let status = (try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)) ?? ""
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
        return line?.split(separator: " ").compactMap { Int($0) }.first ?? 0
    }

    /// Fields of /proc/<pid>/stat behind the name, which may hold spaces: state is 0, the parent 1, utime 11.
    private static func fields(_ pid: Int32) -> [Substring]? {
        guard let stat = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8), let end = stat.lastIndex(of: ")") else {
            return nil
        }
        let fields = stat[stat.index(after: end)...].split(separator: " ")
        return fields.count > 14 ? fields : nil
    }

    private static func ticks(_ fields: [Substring], _ indices: Int...) -> Double {
        indices.reduce(0) { $0 + (Double(fields[$1]) ?? 0) } * 1e6 / Double(sysconf(Int32(_SC_CLK_TCK)))
    }

    /// Thousands of sockets are thousands of descriptors.
    static func raiseDescriptorLimit() {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }

    static func freePort() throws -> Int {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, length) == 0 && getsockname(descriptor, $0, &length) == 0
            }
        }
        guard bound else { throw BenchError("no free port") }
        return Int(UInt16(bigEndian: address.sin_port))
    }
}

/// A process of ours that listens on a port: the gateway, or a floor. It ends with us, however we end.
final class Server {
    let port: Int
    private let process = Process()
    private(set) var startMilliseconds = 0.0
    var pid: Int32 { process.processIdentifier }

    init(
        _ poller: Poller, binary: String, arguments: [String], readyPath: String, log: String, settings: [String: String] = [:]
    ) throws {
        port = try ProcessTable.freePort()
        guard FileManager.default.createFile(atPath: log, contents: nil) else { throw BenchError("\(log) cannot be written") }
        // setpriv becomes the binary, so the pid is the binary's.
        process.executableURL = URL(filePath: "/usr/bin/setpriv")
        process.arguments = ["--pdeathsig", "KILL", binary] + arguments
        process.environment = ProcessInfo.processInfo.environment.merging(["PORT": String(port), "HOST": "127.0.0.1"]) { $1 }
            .merging(settings) { $1 }
        let output = try FileHandle(forWritingTo: URL(filePath: log))
        process.standardOutput = output
        process.standardError = output
        let start = Clock.monotonic()
        try process.run()
        while try !answers(poller, readyPath) {
            guard process.isRunning else { throw BenchError("\(binary) ended before it was ready; its log is \(log)") }
            guard Clock.monotonic() - start < 20_000_000_000 else {
                throw BenchError("\(binary) was not ready within 20 s; its log is \(log)")
            }
            usleep(2_000)
        }
        startMilliseconds = Double(Clock.monotonic() - start) / 1e6
    }

    private func answers(_ poller: Poller, _ path: String) throws -> Bool {
        var status: Int?
        let connection = try HTTPConnection(poller, port: port)
        defer { connection.disconnect() }
        connection.request("GET", path, key: nil) { code, _ in status = code }
        try poller.run("GET \(path)", seconds: 5) { status != nil }
        return status == 200
    }

    func stop() {
        guard process.isRunning else { return }
        process.terminate()
        process.waitUntilExit()
    }

    var cpuMicroseconds: Double { ProcessTable.cpuMicroseconds(pid) }
    var residentKiB: Int { ProcessTable.residentKiB(pid) }
}

enum Tool {
    /// Runs a load generator to its end; its standard output.
    static func output(_ binary: String, _ arguments: [String]) throws -> String {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = [binary] + arguments
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = FileHandle.nullDevice
        try process.run()
        let output = try pipe.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw BenchError("\(binary) ended with status \(process.terminationStatus)") }
        return String(decoding: output, as: UTF8.self)
    }
}
