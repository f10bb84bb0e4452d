// One stack on one interface without anybody at the other end: time is a number here, what the stack sends is kept with its time, and what
// the script sends is delivered at once.
using Peregrine.Core;
using Peregrine.Core.Ip;
using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Core.Tcp.FastOpen;
using Peregrine.Core.Time;
using Peregrine.Posix;
using Peregrine.Wire;

namespace Peregrine.Scripting.Running;

internal sealed class ScriptWorld : IScriptWorld
{
    private const int TurnsMax = 100_000;

    private static readonly Instant s_start = new(1_000_000_000);

    private readonly NetworkStack _stack;
    private readonly int _interface;
    private readonly Frame[] _burst = new Frame[1];

    internal ScriptWorld(StackOptions options, ScriptSetup setup)
    {
        Now = s_start;
        Setup = setup;
        _stack = new NetworkStack(options, MemoryRegion.Allocate(NetworkStack.BytesFor(options)), StackSecrets.FromSeed(setup.Seed), setup.Seed + 1, Now);
        _interface = _stack.AddInterface(
            new InterfaceOptions
            {
                Name = "tun0",
                Mtu = setup.Mtu,
                Medium = LinkMedium.Ip,
                LinkLocal = false,
                ReportMulticast = false,
                Addresses = [new InterfaceAddress(setup.Local, setup.Local.IsIPv4 ? 16 : 64)],
                Gateways = [setup.Gateway],
            },
            Now);
        Sockets = new PosixSockets(_stack, setup.Manners) { FastOpenModes = setup.FastOpenModes };
        if (setup.Psp is not null) _stack.EnablePsp(setup.Seed, setup.Psp.Port);
        if (setup.FastOpenKeys is not null) _stack.Tcp.SetFastOpenKeys(setup.FastOpenKeys);
        Pump();
        Sent.Clear();
    }

    public ScriptSetup Setup { get; }

    internal PosixSockets Sockets { get; }

    internal NetworkStack Stack => _stack;

    internal Instant Now { get; private set; }

    // When calls end that nothing else ends.
    private readonly SortedSet<Instant> _wakes = [];

    public long Microseconds => (Now.Nanoseconds - s_start.Nanoseconds) / 1_000;

    public long AnyTimeMicroseconds => 600_000_000;

    public Queue<SentPacket> Sent { get; } = [];

    public Action<SentPacket>? OnSent { get; set; }

    public Action? OnTurn { get; set; }

    public void Deliver(byte[] packet)
    {
        if (!_stack.Frames.TryRent(out var frame, 0)) throw new ScriptFailedException("the stack has no free frame");
        var last = frame.Chunk;
        var size = _stack.Frames.Chunks.ChunkSize;
        frame.HeadLength = (ushort)Math.Min(packet.Length, size);
        frame.Length = frame.HeadLength;
        packet.AsSpan(0, frame.HeadLength).CopyTo(_stack.Frames.Head(frame));
        for (var at = (int)frame.HeadLength; at < packet.Length;)
        {
            var n = Math.Min(packet.Length - at, size);
            if (!_stack.Frames.TryExtend(ref frame, ref last, n)) throw new ScriptFailedException("the stack has no free frame");
            packet.AsSpan(at, n).CopyTo(_stack.Frames.ChunkSpan(last));
            at += n;
        }
        _burst[0] = frame;
        _stack.OnBurst(_interface, _burst, Now);
        Pump();
    }

    internal void SetMtu(int mtu) => _stack.SetMtu(_interface, mtu);

    public void Pump()
    {
        for (var turns = 0; ; turns++)
        {
            if (turns > TurnsMax) throw new ScriptFailedException("the stack does not come to rest");
            _stack.FireTimers(Now);
            Sockets.OnTurn(Now);
            _stack.Poll(Now);
            var sent = Take();
            Sockets.NoteProgress(Now, Microseconds);
            OnTurn?.Invoke();
            if (!sent && !_stack.HasWork) return;
        }
    }

    private bool Take()
    {
        var pending = _stack.PendingOutput(_interface);
        var count = pending.Length;
        foreach (ref var frame in pending)
        {
            var copy = new byte[frame.Length];
            _stack.Frames.CopyTo(frame, 0, copy);
            _stack.Frames.Return(frame);
            var spi = Setup.Psp?.Open(ref copy) ?? 0;
            var packet = new SentPacket(Microseconds, copy, _stack.Tcp.UdpTunnelPort) { PspSpi = spi };
            OnSent?.Invoke(packet);
            Sent.Enqueue(packet);
        }
        if (count > 0) _stack.OnTransmitted(_interface, count);
        return count > 0;
    }

    /// <summary>A call's time is over then.</summary>
    internal void WakeAt(long microseconds) => _wakes.Add(s_start + Duration.FromMicroseconds(microseconds));

    private Instant NextWake()
    {
        while (_wakes.Count > 0 && _wakes.Min <= Now) _wakes.Remove(_wakes.Min);
        return _wakes.Count > 0 ? _wakes.Min : Instant.Never;
    }

    public void AdvanceTo(long microseconds, Func<bool>? until = null)
    {
        var end = s_start + Duration.FromMicroseconds(microseconds);
        Pump();
        while (until is null || !until())
        {
            var next = Instant.Min(_stack.NextDeadline(Now), NextWake());
            if (next > end) break;
            Now = next > Now ? next : Now + new Duration(1_000);
            Pump();
        }
        if ((until is null || !until()) && end > Now)
        {
            Now = end;
            Pump();
        }
    }

    public bool HasListener => _stack.Tcp.ListenerCount > 0;

    public int HalfOpenCount => _stack.Tcp.SynBacklogCount;

    public int TimeWaitCount => _stack.Tcp.TimeWaitCount;

    public int? CountIn(string state) => StateCheck.Count(this, state);

    public Core.Tcp.TcpState? StateOf(Flow flow)
    {
        for (var slot = 0; slot < _stack.Tcp.SlotCount; slot++)
        {
            if (!_stack.Tcp.TryGetHandle(slot, out var handle) || !_stack.Tcp.TryGetInfo(handle, Now, out var info)) continue;
            if (info.Remote.Port == flow.RemotePort && info.Local.Port == flow.LocalPort) return info.State;
        }
        return null;
    }

    public void Dispose() => _stack.Dispose();
}

/// <summary>What a script's options and the profile settle before it runs.</summary>
internal sealed record ScriptSetup
{
    internal required IpAddress Local { get; init; }

    internal required IpAddress Remote { get; init; }

    internal required IpAddress Gateway { get; init; }

    /// <summary>Sockets are IPv6, packets IPv4.</summary>
    internal bool IsMapped { get; init; }

    internal int Mtu { get; init; } = 1500;

    internal required PosixManners Manners { get; init; }

    internal long ToleranceMicroseconds { get; init; } = 4_000;

    internal int? StampTickMicroseconds { get; init; }

    internal ulong Seed { get; init; } = 1;

    internal PosixFastOpenModes FastOpenModes { get; init; }

    internal FastOpenKeys? FastOpenKeys { get; init; }

    /// <summary>What the script's segments are signed with.</summary>
    internal string? Md5Secret { get; init; }

    internal bool CallsAreNotFatal { get; init; }

    internal bool PacketsAreNotFatal { get; init; }

    /// <summary>Segments are compared as they are, not with those that they were cut out of.</summary>
    internal bool ComparesEachSegment { get; init; }

    /// <summary>Keys of PSP; null where it is off.</summary>
    internal ScriptPsp? Psp { get; init; }

    internal bool IsV6Socket => IsMapped || !Local.IsIPv4;
}
