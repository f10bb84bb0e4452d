// What of TCP has no connection: listeners, half-open connections and TIME-WAIT records, slot by slot, for tools that show everything that is there (ss -a).
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp;

/// <summary>A listener, as a tool shows it.</summary>
public readonly record struct TcpListenerInfo
{
    /// <summary>Address and port that it listens on.</summary>
    public Endpoint Local { get; init; }

    /// <summary>Connections that wait to be accepted.</summary>
    public int WaitingCount { get; init; }

    /// <summary>How many may wait.</summary>
    public int Backlog { get; init; }
}

/// <summary>A half-open connection of a listener, as a tool shows it.</summary>
public readonly record struct TcpHalfOpenInfo
{
    /// <summary>Our address and port.</summary>
    public Endpoint Local { get; init; }

    /// <summary>The peer's address and port.</summary>
    public Endpoint Remote { get; init; }

    /// <summary>SYN-ACKs sent after the first.</summary>
    public int Retries { get; init; }

    /// <summary>How long until the SYN-ACK goes again, or the record is given up.</summary>
    public Duration Left { get; init; }
}

/// <summary>A connection in TIME-WAIT, as a tool shows it.</summary>
public readonly record struct TcpTimeWaitInfo
{
    /// <summary>Our address and port.</summary>
    public Endpoint Local { get; init; }

    /// <summary>The peer's address and port.</summary>
    public Endpoint Remote { get; init; }

    /// <summary>How long the record will stay.</summary>
    public Duration Left { get; init; }
}

/// <summary>Listeners, half-open connections and TIME-WAIT records of a stack, by slot. To be asked on the stack's own thread.</summary>
public sealed class TcpOverview
{
    private readonly TcpContext _x;

    internal TcpOverview(TcpContext context) => _x = context;

    /// <summary>Slots of listeners.</summary>
    public int ListenerSlotCount => _x.Options.ListenerCountMax;

    /// <summary>One more than the highest slot of a half-open connection that was ever used.</summary>
    public int HalfOpenSlotCount => _x.SynBacklog.UsedSlots;

    /// <summary>One more than the highest slot of a TIME-WAIT record that was ever used.</summary>
    public int TimeWaitSlotCount => _x.TimeWaits.UsedSlots;

    /// <summary>The listener in a slot; false when there is none.</summary>
    public bool TryGetListener(int slot, out TcpListenerInfo info)
    {
        info = default;
        if (_x.Listeners.Get(slot) is not { } entry) return false;
        info = new TcpListenerInfo { Local = entry.Local, WaitingCount = entry.AcceptCount, Backlog = entry.Backlog };
        return true;
    }

    /// <summary>The half-open connection in a slot; false when there is none.</summary>
    public bool TryGetHalfOpen(int slot, Instant now, out TcpHalfOpenInfo info)
    {
        info = default;
        if (slot < 0 || !_x.SynBacklog.IsInUse((uint)slot)) return false;
        ref var record = ref _x.SynBacklog.Get((uint)slot);
        info = new TcpHalfOpenInfo
        {
            Local = record.LocalEndpoint,
            Remote = record.RemoteEndpoint,
            Retries = record.Retries,
            Left = Duration.Max(record.Due.ToInstant(now) - now, Duration.Zero),
        };
        return true;
    }

    /// <summary>The TIME-WAIT record in a slot; false when there is none.</summary>
    public bool TryGetTimeWait(int slot, Instant now, out TcpTimeWaitInfo info)
    {
        info = default;
        if (!_x.TimeWaits.IsInUse(slot)) return false;
        ref var record = ref _x.TimeWaits.Get((uint)slot);
        info = new TcpTimeWaitInfo
        {
            Local = new Endpoint(record.Local, record.LocalPort),
            Remote = new Endpoint(record.Remote, record.RemotePort),
            Left = Duration.Max(record.Expires.ToInstant(now) - now, Duration.Zero),
        };
        return true;
    }
}
