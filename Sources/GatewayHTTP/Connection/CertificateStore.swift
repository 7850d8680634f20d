import Domain
import Glibc
public import Logging
import NIOSSL
import Synchronization

/// Where the certificate chain (leaf first) and its private key are, both PEM.
public struct TLSFiles: Sendable, Equatable {
    public let certificate: String
    public let key: String

    public init(certificate: String, key: String) {
        self.certificate = certificate
        self.key = key
    }
}

/// The files cannot be used; says which, and why.
public struct CertificateFailure: Error, CustomStringConvertible {
    public let description: String
}

/// The certificate that new connections are shown. Connections that exist keep theirs; a pair that cannot be used is named in the log
/// and changes nothing.
public final class CertificateStore: Sendable {
    private struct State {
        var context: NIOSSLContext
        /// Of the files at the last attempt, good or bad, so that each state of them is tried once.
        var stamps: [FileStamp?]
    }

    private let files: TLSFiles
    private let logger: Logger
    private let state: Mutex<State>

    public init(_ files: TLSFiles, logger: Logger) throws(CertificateFailure) {
        self.files = files
        self.logger = logger
        let stamps = Self.stamps(files)
        state = Mutex(State(context: try Self.load(files), stamps: stamps))
    }

    var context: NIOSSLContext { state.withLock { $0.context } }

    /// Looks at the files until the task is cancelled.
    func run() async {
        while (try? await Task.sleep(for: .seconds(Limits.certificatePollSeconds), tolerance: .milliseconds(500))) != nil { reload() }
    }

    /// Does nothing while the files are what they were at the last attempt.
    public func reload() {
        let stamps = Self.stamps(files)
        guard state.withLock({ $0.stamps != stamps }) else { return }
        do throws(CertificateFailure) {
            let context = try Self.load(files)
            state.withLock { $0 = State(context: context, stamps: stamps) }
            logger.notice("certificate reloaded", metadata: ["file": .string(files.certificate)])
        } catch {
            state.withLock { $0.stamps = stamps }
            logger.error("the new certificate cannot be used; the old one stays", metadata: ["cause": .string(error.description)])
        }
    }

    private static func load(_ files: TLSFiles) throws(CertificateFailure) -> NIOSSLContext {
        let certificate = try read(files.certificate)
        let key = try read(files.key)
        let chain: [NIOSSLCertificate]
        do { chain = try NIOSSLCertificate.fromPEMBytes(certificate) } catch {
            throw CertificateFailure(description: "\(files.certificate) holds no certificate in PEM")
        }
        guard !chain.isEmpty else { throw CertificateFailure(description: "\(files.certificate) holds no certificate in PEM") }
        let privateKey: NIOSSLPrivateKey
        // The error may quote what it read, so its text stays out.
        do { privateKey = try NIOSSLPrivateKey(bytes: key, format: .pem) } catch {
            throw CertificateFailure(description: "\(files.key) holds no private key in PEM without a passphrase")
        }
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(privateKey))
        configuration.minimumTLSVersion = .tlsv12
        configuration.applicationProtocols = ["http/1.1"]
        do { return try NIOSSLContext(configuration: configuration) } catch {
            throw CertificateFailure(description: "the key in \(files.key) is not that of the first certificate in \(files.certificate)")
        }
    }

    private static func read(_ path: String) throws(CertificateFailure) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw CertificateFailure(description: "\(path): \(String(cString: strerror(errno)))") }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16 * 1024)
        while true {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count < 0 {
                if errno == EINTR { continue }
                throw CertificateFailure(description: "\(path): \(String(cString: strerror(errno)))")
            }
            if count == 0 { return bytes }
            bytes += chunk[..<count]
            guard bytes.count <= Limits.maxCertificateFileBytes else {
                throw CertificateFailure(description: "\(path) is larger than \(Limits.maxCertificateFileBytes) bytes")
            }
        }
    }

    /// What changes when a file is written or another takes its place, also behind a symbolic link.
    private struct FileStamp: Equatable {
        let device: UInt64
        let inode: UInt64
        let size: Int
        let seconds: Int
        let nanoseconds: Int

        init?(_ path: String) {
            var status = stat()
            guard stat(path, &status) == 0 else { return nil }
            device = UInt64(status.st_dev)
            inode = UInt64(status.st_ino)
            size = Int(status.st_size)
            seconds = status.st_mtim.tv_sec
            nanoseconds = status.st_mtim.tv_nsec
        }
    }

    private static func stamps(_ files: TLSFiles) -> [FileStamp?] { [FileStamp(files.certificate), FileStamp(files.key)] }
}
