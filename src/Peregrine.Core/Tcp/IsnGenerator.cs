// Initial sequence numbers and timestamp offsets: a clock plus a keyed hash of the tuple, so that they rise from one connection of a
// tuple to the next (TIME-WAIT relies on it) and tell nothing about those of another tuple.
// Not for connections taken from a SYN cookie, whose number is the cookie itself.
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp;

/// <summary>Makes initial sequence numbers and timestamp offsets.</summary>
internal readonly struct IsnGenerator
{
    /// <summary>Nanoseconds between two values of the clock.</summary>
    private const int NanosecondsPerStep = 4_000;

    private readonly UInt128 _isnKey;
    private readonly UInt128 _timestampKey;

    /// <summary>Takes its keys from the stack's secrets.</summary>
    public IsnGenerator(in StackSecrets secrets) => (_isnKey, _timestampKey) = (secrets.IsnKey, secrets.TimestampKey);

    /// <summary>For simulations only: connections begin near this number, so that numbers wrap while they last.</summary>
    internal SeqNumber? Near { get; init; }

    /// <summary>The initial sequence number of a connection that begins now.</summary>
    public SeqNumber Next(in IpAddress local, ushort localPort, in IpAddress remote, ushort remotePort, Instant now)
    {
        // RFC 9293 MUST-8
        var clock = (uint)(now.Nanoseconds / NanosecondsPerStep);
        if (Near is { } near) return near + clock;
        // RFC 6528 §3: ISN = M + F(localip, localport, remoteip, remoteport, secretkey).
        // RFC 9293 MUST-9, SHLD-1
        return new SeqNumber(clock + (uint)SipHash.Hash24(_isnKey, local, localPort, remote, remotePort));
    }

    /// <inheritdoc cref="Next(in IpAddress, ushort, in IpAddress, ushort, Instant)"/>
    public SeqNumber Next(in FourTuple tuple, Instant now) => Next(tuple.Local.Address, tuple.Local.Port, tuple.Remote.Address, tuple.Remote.Port, now);

    /// <summary>
    /// What is added to the timestamp clock on this tuple's connections: the same for each of them, so that timestamps rise from one to
    /// the next (RFC 6191 §3).
    /// </summary>
    // RFC 7323 §5.4: the function of RFC 6528 with another key.
    public uint TimestampOffset(in IpAddress local, ushort localPort, in IpAddress remote, ushort remotePort) =>
        (uint)SipHash.Hash24(_timestampKey, local, localPort, remote, remotePort);

    /// <inheritdoc cref="TimestampOffset(in IpAddress, ushort, in IpAddress, ushort)"/>
    public uint TimestampOffset(in FourTuple tuple) => TimestampOffset(tuple.Local.Address, tuple.Local.Port, tuple.Remote.Address, tuple.Remote.Port);
}
