public import HsafaClient

extension HsafaClient {
    /// This client, with everything that comes to it held to the description. `report` is told, in the task that asked, what does not fit.
    public func held(to contract: Contract, _ report: @escaping @Sendable (String) -> Void) -> HsafaClient {
        var client = self
        client.onTraffic = contract.listener(report)
        return client
    }
}

extension DeviceConnection.Options {
    /// These, with every message of the device's socket held to the description.
    public func held(to contract: Contract, _ report: @escaping @Sendable (String) -> Void) -> Self {
        var options = self
        options.onTraffic = contract.listener(report)
        return options
    }
}

extension Contract {
    fileprivate func listener(_ report: @escaping @Sendable (String) -> Void) -> @Sendable (HsafaClient.Traffic) -> Void {
        { traffic in
            do {
                for violation in try self.check(traffic) { report("openapi.yaml: \(violation)") }
            } catch { report("openapi.yaml cannot be asked: \(error)") }
        }
    }

    func check(_ traffic: HsafaClient.Traffic) throws -> [String] {
        switch traffic {
        case .event(let name, let data): try check(event: name, data: data)
        case .frame(let bytes, let isFromDevice): try check(frame: bytes, isFromDevice ? .fromDevice : .fromGateway)
        case .answer(let exchange):
            try check(
                Exchange(
                    method: exchange.method, target: exchange.path, requestBody: exchange.requestBody, status: exchange.status,
                    headers: exchange.headers.map { ($0.name, $0.value) }, body: exchange.body))
        }
    }
}
