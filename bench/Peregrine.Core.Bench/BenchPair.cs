// Two stacks in one thread with frames copied between them by hand: a server that is driven by an engine, and a client that is not.
using Peregrine.Core.Ip;
using Peregrine.Core.Memory;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Bench;

internal sealed class BenchPair : IDisposable
{
    /// <summary>Frames that pass between the stacks at a time.</summary>
    internal const int Burst = 32;

    private readonly Frame[] _toServer = new Frame[Burst], _toClient = new Frame[Burst];
    private readonly int _clientInterface, _serverInterface;

    internal BenchPair(StackOptions options)
    {
        Engine = new BenchEngine(Stack(options, 1));
        Engine.AttachThread();
        Engine.BeginTurn(Now);
        Client = Stack(options, 2);
        _serverInterface = AddInterface(Engine.Stack, 1);
        _clientInterface = AddInterface(Client, 2);
    }

    internal static IpAddress ServerAddress => IpAddress.FromIPv4(10, 0, 0, 1);

    internal BenchEngine Engine { get; }

    internal NetworkStack Server => Engine.Stack;

    internal NetworkStack Client { get; }

    internal Instant Now { get; set; } = new(1_000_000_000);

    /// <summary>Frames that the last exchange moved, both ways.</summary>
    internal int Moved { get; private set; }

    /// <summary>What the server does with the client's output: ticks that its turn took, the return of sent frames included.</summary>
    internal long Exchange()
    {
        var count = TakeFromClient();
        var ticks = Turn(count, out var answers);
        Client.OnBurst(_clientInterface, _toClient.AsSpan(0, answers), Now);
        Moved = count + answers;
        return ticks;
    }

    /// <summary>A turn of the server on frames that the caller put into its pool; its answers are thrown away.</summary>
    internal long Turn(Span<Frame> frames)
    {
        frames.CopyTo(_toServer);
        var ticks = Turn(frames.Length, out var answers);
        foreach (ref var frame in _toClient.AsSpan(0, answers)) Client.Frames.Return(frame);
        return ticks;
    }

    public void Dispose()
    {
        Server.Dispose();
        Client.Dispose();
    }

    private long Turn(int count, out int answers)
    {
        var start = System.Diagnostics.Stopwatch.GetTimestamp();
        var pending = Engine.Turn(_serverInterface, _toServer.AsSpan(0, count), Now);
        var ticks = System.Diagnostics.Stopwatch.GetTimestamp() - start;
        answers = Copy(Server, pending, Client, _toClient);
        start = System.Diagnostics.Stopwatch.GetTimestamp();
        Engine.Sent(_serverInterface, pending[..answers]);
        return ticks + System.Diagnostics.Stopwatch.GetTimestamp() - start;
    }

    private int TakeFromClient()
    {
        Client.Poll(Now);
        var pending = Client.PendingOutput(_clientInterface);
        var count = Copy(Client, pending, Server, _toServer);
        foreach (ref var frame in pending[..count]) Client.Frames.Return(frame);
        Client.OnTransmitted(_clientInterface, count);
        return count;
    }

    private NetworkStack Stack(StackOptions options, ulong seed) =>
        new(options, HugePages.Allocate(NetworkStack.BytesFor(options)), StackSecrets.FromSeed(seed), seed, Now);

    private int AddInterface(NetworkStack stack, byte number) => stack.AddInterface(
        new InterfaceOptions
        {
            Name = "eth0",
            MacAddress = new MacAddress(0x0200_0000_0000UL + number),
            Mtu = 1500,
            LinkLocal = false,
            ReportMulticast = false,
            Addresses = [new InterfaceAddress(IpAddress.FromIPv4(10, 0, 0, number), 24)],
        },
        Now);

    private static int Copy(NetworkStack from, Span<Frame> frames, NetworkStack to, Frame[] into)
    {
        var count = Math.Min(frames.Length, into.Length);
        for (var i = 0; i < count; i++)
        {
            if (!to.Frames.TryRent(out into[i], 66)) throw new InvalidOperationException("no frame");
            into[i].HeadLength = frames[i].HeadLength;
            into[i].Length = frames[i].Length;
            from.Frames.Head(frames[i]).CopyTo(to.Frames.Head(into[i]));
        }
        return count;
    }
}
