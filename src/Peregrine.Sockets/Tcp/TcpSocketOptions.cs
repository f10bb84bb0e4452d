// Options of a connection as .NET properties: names of System.Net.Sockets where it has one, else the kernel's. Each set replaces the
// connection's settings record on its core; each get asks the core. Not for a packet's path.
using System.Net.Sockets;
using Peregrine.Core.Tcp;
using Peregrine.Core.Tcp.Authentication;

namespace Peregrine.Sockets;

/// <summary>
/// Options of a connection. Setting a value out of its range throws an <see cref="ArgumentOutOfRangeException"/> that names setting, value
/// and range; on a connection that is gone everything throws <see cref="SocketException"/> with NotConnected.
/// </summary>
public sealed class TcpSocketOptions
{
    private readonly TcpConnection _connection;

    internal TcpSocketOptions(TcpConnection connection) => _connection = connection;

    /// <summary>All settings at once.</summary>
    public TcpSettings Settings
    {
        get => _connection.Engine.Run(() => Read());
        set => Change(_ => value);
    }

    /// <summary>TCP_NODELAY: sends small segments at once (Nagle's algorithm off). Default false.</summary>
    public bool NoDelay
    {
        get => Settings.NoDelay;
        set
        {
            // Servers say so of each connection that they accept, and most have a listener or a stack that says it already.
            if (!_connection.Engine.IsCurrent || _connection.Engine.Tcp.GetSettings(_connection.Handle)?.NoDelay != value) SetNoDelay(value);
        }
    }

    /// <summary>SO_RCVBUF: the receive buffer in bytes, 2,048 to 1 GiB. Setting it ends automatic tuning, as in Linux.</summary>
    public int ReceiveBufferSize
    {
        get => Settings.ReceiveBufferBytes;
        set => Change(s => s with { ReceiveBufferBytes = value, ReceiveBufferBytesMax = value });
    }

    /// <summary>SO_SNDBUF: the send buffer in bytes, 2,048 to 1 GiB. Setting it ends automatic tuning, as in Linux.</summary>
    public int SendBufferSize
    {
        get => Settings.SendBufferBytes;
        set => Change(s => s with { SendBufferBytes = value, SendBufferBytesMax = value });
    }

    /// <summary>SO_KEEPALIVE: probes an idle peer. Default false.</summary>
    public bool KeepAlive
    {
        get => Settings.KeepAlive;
        set => Change(s => s with { KeepAlive = value });
    }

    /// <summary>TCP_KEEPIDLE: idle time before the first probe, in seconds, 1 to 32,767.</summary>
    public int KeepAliveTimeSeconds
    {
        get => Settings.KeepAliveTimeSeconds;
        set => Change(s => s with { KeepAliveTimeSeconds = value });
    }

    /// <summary>TCP_KEEPINTVL: time between probes, in seconds, 1 to 32,767.</summary>
    public int KeepAliveIntervalSeconds
    {
        get => Settings.KeepAliveIntervalSeconds;
        set => Change(s => s with { KeepAliveIntervalSeconds = value });
    }

    /// <summary>TCP_KEEPCNT: unanswered probes that end the connection, 1 to 127.</summary>
    public int KeepAliveRetryCount
    {
        get => Settings.KeepAliveRetryCount;
        set => Change(s => s with { KeepAliveRetryCount = value });
    }

    /// <summary>TCP_USER_TIMEOUT: how long sent data may stay unacknowledged, in milliseconds, 1,000 to 86,400,000.</summary>
    public int UserTimeoutMs
    {
        get => Settings.UserTimeoutMs;
        set => Change(s => s with { UserTimeoutMs = value });
    }

    /// <summary>TCP_CONGESTION: the congestion control's name.</summary>
    public string CongestionControl
    {
        get => Settings.CongestionControl;
        set => Change(s => s with { CongestionControl = value });
    }

    /// <summary>IP_TTL and IPV6_UNICAST_HOPS, 1 to 255.</summary>
    public int Ttl
    {
        get => Settings.HopLimit;
        set => Change(s => s with { HopLimit = value });
    }

    /// <summary>IP_TOS and IPV6_TCLASS without the ECN bits, 0 to 252 in steps of 4.</summary>
    public int Tos
    {
        get => Settings.TrafficClass;
        set => Change(s => s with { TrafficClass = value });
    }

    /// <summary>TCP_CORK: partial segments wait for more data. Default false.</summary>
    public bool Cork
    {
        get => Settings.Cork;
        set => Change(s => s with { Cork = value });
    }

    /// <summary>TCP_NOTSENT_LOWAT: the send buffer takes no more than about so many unsent bytes, 0 for no limit, to 1 GiB.</summary>
    public int UnsentBytesMax
    {
        get => Settings.UnsentBytesMax;
        set => Change(s => s with { UnsentBytesMax = value });
    }

    /// <summary>TCP_DEFER_ACCEPT, of the listener that the connection came from: seconds, 0 to 3,600. Without effect on a connection that is open.</summary>
    public int DeferAcceptSeconds
    {
        get => Settings.DeferAcceptSeconds;
        set => Change(s => s with { DeferAcceptSeconds = value });
    }

    /// <summary>How many first segments are acknowledged at once, 0 to 63.</summary>
    public int QuickAckCount
    {
        get => Settings.QuickAckCount;
        set => Change(s => s with { QuickAckCount = value });
    }

    /// <summary>SO_LINGER: 0 makes closing a reset; -1 to 32,767 seconds otherwise, in which closing goes on in the background (<see cref="TcpConnection.LingerState"/>).</summary>
    public int LingerSeconds
    {
        get => Settings.LingerSeconds;
        set => Change(s => s with { LingerSeconds = value });
    }

    /// <summary>
    /// TCP_LINGER2: how long the connection may stay in FIN-WAIT-2 after it was closed, in milliseconds, 1,000 to 120,000; 0 for as long as keepalive's probes take,
    /// -1 for not at all.
    /// </summary>
    public int FinWait2TimeoutMs
    {
        get => Settings.FinWait2TimeoutMs;
        set => Change(s => s with { FinWait2TimeoutMs = value });
    }

    /// <summary>TCP_SYNCNT: how often a SYN is repeated before the open fails, 0 to 15. Without effect on a connection that is open.</summary>
    public int SynRetryCount
    {
        get => Settings.SynRetryCount;
        set => Change(s => s with { SynRetryCount = value });
    }

    /// <summary>TCP_MAXSEG: largest segment in bytes, 64 to 65,495, or 0 for what the path allows. What the SYN said stays.</summary>
    public int MaximumSegmentSize
    {
        get => Settings.MaximumSegmentSize;
        set => Change(s => s with { MaximumSegmentSize = value });
    }

    /// <summary>TCP_WINDOW_CLAMP: the receive window grows to so many bytes at most, 2,048 to 1 GiB.</summary>
    public int WindowClamp
    {
        get => Settings.ReceiveBufferBytesMax;
        set => Change(s => s with { ReceiveBufferBytes = Math.Max(2_048, Math.Min(s.ReceiveBufferBytes, value)), ReceiveBufferBytesMax = value });
    }

    /// <summary>SO_RCVLOWAT: the application hears of received bytes when there are so many, 1 to 1 GiB, or the stream ends.</summary>
    public int ReceiveLowBytes
    {
        get => Settings.ReceiveLowBytes;
        set => Change(s => s with { ReceiveLowBytes = value });
    }

    /// <summary>SO_MAX_PACING_RATE: no faster than this, in bytes a second, 1,000 to 1,000,000,000,000, or 0 for no limit.</summary>
    public long PacingBytesPerSecondMax
    {
        get => Settings.PacingBytesPerSecondMax;
        set => Change(s => s with { PacingBytesPerSecondMax = value });
    }

    /// <summary>IPV6_FLOWLABEL: 0 to 0xFFFFF, 0 for none.</summary>
    public int FlowLabel
    {
        get => Settings.FlowLabel;
        set => Change(s => s with { FlowLabel = value });
    }

    /// <summary>TCP_QUICKACK: from now on ACKs go at once, an owed one too; or may wait for answers to ride on. It wears off, as in Linux.</summary>
    public void SetQuickAck(bool quick) => _connection.Engine.Run(() =>
    {
        _connection.Engine.Tcp.SetQuickAck(_connection.Handle, quick);
        return true;
    });

    /// <summary>TCP_AO_INFO: which keys of TCP-AO are used; null without.</summary>
    public TcpKeyStatus? KeyStatus =>
        _connection.Engine.Run(() => _connection.Engine.Tcp.Keys.TryGetStatus(_connection.Handle, out var status) ? status : (TcpKeyStatus?)null);

    /// <summary>TCP_AO_ADD_KEY, TCP_AO_DEL_KEY: gives the connection other keys of the kind that it was opened with.</summary>
    /// <exception cref="SocketException">InvalidArgument: it was opened without keys or with the other kind, or none is the peer's.</exception>
    public void SetKeys(TcpKeySet keys) => Check(() => _connection.Engine.Tcp.Keys.Set(_connection.Handle, keys));

    /// <summary>Which keys are to be used from now on (RFC 5925 §7.1): SendID of ours and RecvID of the peer's; null leaves one as it is.</summary>
    /// <exception cref="SocketException">InvalidArgument: there is no such key.</exception>
    public void PreferKeys(byte? sendId, byte? receiveId) => Check(() => _connection.Engine.Tcp.Keys.Prefer(_connection.Handle, sendId, receiveId));

    private void Check(Func<SocketError> change) => _connection.Engine.Run(() =>
    {
        SocketErrors.Check(change());
        return true;
    });

    private void SetNoDelay(bool value) => Change(s => s with { NoDelay = value });

    private TcpSettings Read() =>
        _connection.Engine.Tcp.GetSettings(_connection.Handle) ?? throw new SocketException((int)SocketError.NotConnected);

    private void Change(Func<TcpSettings, TcpSettings> change) => _connection.Engine.Run(() =>
    {
        var settings = change(Read());
        settings.Validate();
        SocketErrors.Check(_connection.Engine.Tcp.SetSettings(_connection.Handle, settings, _connection.Engine.Now));
        return true;
    });
}
