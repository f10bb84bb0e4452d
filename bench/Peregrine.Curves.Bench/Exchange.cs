// One end of transfers one after another, each over a new connection, in a process that has done it before: so many bytes to the server, one
// byte back when it has them all. The same program at every end, over this stack or over the kernel's sockets.
using System.Buffers.Binary;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Peregrine.Drivers;
using Peregrine.Sockets;

namespace Peregrine.Curves.Bench;

internal sealed class Exchange : IAsyncDisposable
{
    internal const int Port = 5203;

    // Enough for the code to be compiled as well as it will be; of a small size, whatever is measured then.
    private const int WarmUpCount = 40, WarmUpBytes = 10_000, ChunkBytes = 65_536;

    private readonly End _whose;
    private readonly IPAddress _address;
    private PeregrineNetwork? _network;

    private Exchange(End whose, IPAddress address) => (_whose, _address) = (whose, address);

    /// <summary>Serves until the process is ended; says "listening" when it does.</summary>
    internal static async Task ServeAsync(End whose, IPAddress address)
    {
        await using var exchange = await OpenAsync(whose, address).ConfigureAwait(false);
        await exchange.AcceptAllAsync().ConfigureAwait(false);
    }

    /// <summary>Transfers to a server, and prints what each took, in seconds.</summary>
    internal static async Task SendAsync(End whose, IPAddress address, IPAddress server, long bytes, int count)
    {
        await using var exchange = await OpenAsync(whose, address).ConfigureAwait(false);
        for (var i = 0; i < WarmUpCount; i++) await exchange.TransferAsync(server, WarmUpBytes).ConfigureAwait(false);
        for (var i = 0; i < count; i++)
        {
            var took = await exchange.TransferAsync(server, bytes).ConfigureAwait(false);
            Console.WriteLine(took.TotalSeconds.ToString("0.000000", CultureInfo.InvariantCulture));
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (_network != null) await _network.DisposeAsync().ConfigureAwait(false);
    }

    private static async Task<Exchange> OpenAsync(End whose, IPAddress address)
    {
        var exchange = new Exchange(whose, address);
        if (whose == End.Ours)
        {
            var options = new PeregrineOptions { Name = "exchange", Addresses = [address + "/24"], ControlSocket = "none" };
            exchange._network = await PeregrineNetwork.StartAsync(options, LinkFactory.Open("packet:eth0"), platform: new LinuxPlatform()).ConfigureAwait(false);
        }
        return exchange;
    }

    private async Task AcceptAllAsync()
    {
        var local = new IPEndPoint(_address, Port);
        if (_network != null)
        {
            await using var listener = _network.ListenTcp(local);
            Console.WriteLine("listening");
            while (true) await AnswerAsync((await listener.AcceptAsync().ConfigureAwait(false)).AsStream()).ConfigureAwait(false);
        }
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(local);
        socket.Listen();
        Console.WriteLine("listening");
        while (true) await AnswerAsync(new NetworkStream(await socket.AcceptAsync().ConfigureAwait(false), ownsSocket: true)).ConfigureAwait(false);
    }

    private static async Task AnswerAsync(Stream stream)
    {
        await using (stream.ConfigureAwait(false))
        {
            var buffer = new byte[ChunkBytes];
            await stream.ReadExactlyAsync(buffer.AsMemory(0, sizeof(long))).ConfigureAwait(false);
            for (var left = BinaryPrimitives.ReadInt64LittleEndian(buffer) - sizeof(long); left > 0;)
            {
                var count = await stream.ReadAsync(buffer).ConfigureAwait(false);
                if (count == 0) return;
                left -= count;
            }
            await stream.WriteAsync(buffer.AsMemory(0, 1)).ConfigureAwait(false);
            // The client closes first.
            await stream.ReadAsync(buffer).ConfigureAwait(false);
        }
    }

    private async Task<TimeSpan> TransferAsync(IPAddress server, long bytes)
    {
        var content = new byte[Math.Min(bytes, ChunkBytes)];
        BinaryPrimitives.WriteInt64LittleEndian(content, bytes);
        var began = Stopwatch.GetTimestamp();
        var stream = await ConnectAsync(new IPEndPoint(server, Port)).ConfigureAwait(false);
        await using (stream.ConfigureAwait(false))
        {
            for (var left = bytes; left > 0; left -= Math.Min(left, content.Length)) await stream.WriteAsync(content.AsMemory(0, (int)Math.Min(left, content.Length))).ConfigureAwait(false);
            await stream.ReadExactlyAsync(content.AsMemory(0, 1)).ConfigureAwait(false);
            return Stopwatch.GetElapsedTime(began);
        }
    }

    private async Task<Stream> ConnectAsync(IPEndPoint server)
    {
        if (_network != null) return (await _network.ConnectTcpAsync(server).ConfigureAwait(false)).AsStream();
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(server).ConfigureAwait(false);
        return new NetworkStream(socket, ownsSocket: true);
    }
}
