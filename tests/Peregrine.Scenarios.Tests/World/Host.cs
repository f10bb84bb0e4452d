// A host of the test world: a real stack with one interface, and small helpers for the application's side.
using System.Net.Sockets;
using Peregrine.Core;
using Peregrine.Core.Ip;
using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Core.Tcp;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Scenarios.Tests.World;

public sealed class Host : IDisposable
{
    public static StackOptions SmallOptions { get; } = new()
    {
        ConnectionCountMax = 2_048,
        TimeWaitCountMax = 2_048,
        SynBacklogCountMax = 256,
        ListenerCountMax = 16,
        FrameCount = 2_048,
        BlockCount = 8_192,
        TransmissionRecordCount = 16_384,
    };

    private readonly Frame[] _burst = new Frame[64];

    public Host(string name, byte number, StackOptions options, ulong seed, Instant now, LinkMedium medium = LinkMedium.Ethernet)
    {
        Name = name;
        Address = IpAddress.FromIPv4(10, 0, 0, number);
        AddressV6 = IpAddress.Parse("fd00::" + number);
        Stack = new NetworkStack(options, MemoryRegion.Allocate(NetworkStack.BytesFor(options)), StackSecrets.FromSeed(seed), seed + 1, now);
        Interface = Stack.AddInterface(
            new InterfaceOptions
            {
                Name = "eth0",
                MacAddress = MacAddress.Parse($"02:00:00:00:00:{number:x2}"),
                Mtu = 1500,
                Medium = medium,
                LinkLocal = false,
                ReportMulticast = false,
                Addresses = [new InterfaceAddress(Address, 24), new InterfaceAddress(AddressV6, 64)],
            },
            now);
        FreeFramesAtStart = Stack.Frames.Chunks.FreeCount;
        FreeBlocksAtStart = Stack.Tcp.Blocks.FreeCount;
        FreeRecordsAtStart = Stack.Tcp.Context.Recovery.FreeRecords;
    }

    public string Name { get; }

    public IpAddress Address { get; }

    public IpAddress AddressV6 { get; }

    public NetworkStack Stack { get; }

    public TcpLayer Tcp => Stack.Tcp;

    public int Interface { get; }

    public int FreeFramesAtStart { get; }

    public int FreeBlocksAtStart { get; }

    public int FreeRecordsAtStart { get; }

    public Dictionary<TcpHandle, (TcpEvents Events, SocketError Error)> Seen { get; } = [];

    /// <summary>Called for every event.</summary>
    public Action<TcpEvent>? OnEvent { get; set; }

    public void Deliver(byte[] bytes, Instant now)
    {
        if (!Stack.Frames.TryRent(out var frame, 0)) return;
        frame.HeadLength = (ushort)bytes.Length;
        frame.Length = bytes.Length;
        bytes.CopyTo(Stack.Frames.Head(frame));
        _burst[0] = frame;
        Stack.OnBurst(Interface, _burst.AsSpan(0, 1), now);
    }

    /// <summary>Delivers packets in one burst.</summary>
    public void Deliver(IReadOnlyList<byte[]> packets, Instant now)
    {
        var burst = new Frame[packets.Count];
        for (var i = 0; i < burst.Length; i++)
        {
            Assert.True(Stack.Frames.TryRent(out burst[i], 0));
            burst[i].HeadLength = (ushort)packets[i].Length;
            burst[i].Length = packets[i].Length;
            packets[i].CopyTo(Stack.Frames.Head(burst[i]));
        }
        Stack.OnBurst(Interface, burst, now);
    }

    public bool Turn(Instant now, VirtualWire outgoing)
    {
        Stack.FireTimers(now);
        var busy = false;
        while (Stack.Tcp.TryNextEvent(out var e))
        {
            busy = true;
            if (e.Connection.IsValid)
            {
                Seen.TryGetValue(e.Connection, out var before);
                Seen[e.Connection] = (before.Events | e.Events, (e.Events & TcpEvents.Closed) != 0 ? e.Error : before.Error);
            }
            OnEvent?.Invoke(e);
        }
        busy |= Stack.Poll(now);
        var pending = Stack.PendingOutput(Interface);
        foreach (ref var frame in pending)
        {
            var copy = new byte[frame.Length];
            Stack.Frames.CopyTo(frame, 0, copy);
            Stack.Frames.Return(frame);
            outgoing.Send(copy, now);
        }
        if (pending.Length > 0) Stack.OnTransmitted(Interface, pending.Length);
        return busy || pending.Length > 0;
    }

    /// <summary>Everything that was taken at run time has come back.</summary>
    public void AssertNothingLeaked()
    {
        Assert.Equal(FreeFramesAtStart, Stack.Frames.Chunks.FreeCount);
        Assert.Equal(FreeBlocksAtStart, Stack.Tcp.Blocks.FreeCount);
        Assert.Equal(FreeRecordsAtStart, Stack.Tcp.Context.Recovery.FreeRecords);
        Assert.Equal((0, 0), (Stack.Tcp.Context.Recovery.Controls.ModelsInUse, Stack.Tcp.Context.AccurateEcn.Count));
        Assert.Equal(0, Stack.Tcp.ConnectionCount);
    }

    public void Dispose() => Stack.Dispose();
}
