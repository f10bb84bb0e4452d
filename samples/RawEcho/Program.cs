// A raw echo server on a TAP link, by the fastest way there is: a handler that gets spans of the ring on the core's thread.
// Run as root, then from another terminal: nc 192.0.2.2 7
using System.Net;
using Peregrine;
using Peregrine.Drivers;
using Peregrine.Sockets;
using Peregrine.Wire;

using var link = TapLink.Open("peregrine0", new TapOptions { KernelAddresses = [IpPrefix.Parse("192.0.2.1/24")], BringUp = true });
await using var network = await PeregrineNetwork.StartAsync(new PeregrineOptions { Name = "echo", Addresses = ["192.0.2.2/24"] }, link, platform: new LinuxPlatform());
await using var listener = network.ListenTcp(new IPEndPoint(IPAddress.Any, 7));
using var stop = new CancellationTokenSource();
Console.CancelKeyPress += (_, e) =>
{
    e.Cancel = true;
    stop.Cancel();
};
Console.WriteLine("echoing on 192.0.2.2 port 7; Ctrl-C ends it");
try
{
    while (true) (await listener.AcceptAsync(stop.Token)).SetHandler(new EchoHandler());
}
catch (OperationCanceledException)
{
    // Leaving disposes listener, network and link, in this order.
}

/// <summary>Sends back what comes, one per connection. What the send buffer does not take waits until there is room.</summary>
internal sealed class EchoHandler : ITcpHandler
{
    private const int WaitingCountMax = 256;

    private readonly Queue<byte[]> _waiting = new();

    public void OnReceived(TcpConnection connection, ReadOnlySpan<byte> bytes)
    {
        var taken = _waiting.Count == 0 ? connection.TrySend(bytes) : 0;
        if (taken >= 0 && taken < bytes.Length) _waiting.Enqueue(bytes[taken..].ToArray());
        // A peer that sends and never reads must not fill the memory.
        if (_waiting.Count > WaitingCountMax) connection.Abort();
    }

    public void OnWritable(TcpConnection connection)
    {
        while (_waiting.TryDequeue(out var rest))
        {
            var taken = connection.TrySend(rest);
            if (taken < 0 || taken == rest.Length) continue;
            // Order matters more than a copy: what is left goes to the front again.
            var others = _waiting.ToArray();
            _waiting.Clear();
            _waiting.Enqueue(rest[taken..]);
            foreach (var other in others) _waiting.Enqueue(other);
            return;
        }
    }
}
