// Numbers of protocols and of IPv6 extension headers, which share one space (IANA).
namespace Peregrine.Wire;

/// <summary>Protocol numbers of IPv4 and next-header values of IPv6.</summary>
public static class IpProtocol
{
    /// <summary>IPv6 hop-by-hop options (RFC 8200 §4.3).</summary>
    public const byte HopByHopOptions = 0;

    /// <summary>ICMP for IPv4 (RFC 792).</summary>
    public const byte Icmpv4 = 1;

    /// <summary>IGMP (RFC 3376).</summary>
    public const byte Igmp = 2;

    /// <summary>TCP (RFC 9293).</summary>
    public const byte Tcp = 6;

    /// <summary>UDP (RFC 768).</summary>
    public const byte Udp = 17;

    /// <summary>IPv6 routing header (RFC 8200 §4.4).</summary>
    public const byte Routing = 43;

    /// <summary>IPv6 fragment header (RFC 8200 §4.5).</summary>
    public const byte Fragment = 44;

    /// <summary>Encapsulating security payload (RFC 4303): what follows cannot be read.</summary>
    public const byte Esp = 50;

    /// <summary>Authentication header (RFC 4302).</summary>
    public const byte AuthenticationHeader = 51;

    /// <summary>ICMP for IPv6 (RFC 4443).</summary>
    public const byte Icmpv6 = 58;

    /// <summary>IPv6 no next header (RFC 8200 §4.7).</summary>
    public const byte NoNextHeader = 59;

    /// <summary>IPv6 destination options (RFC 8200 §4.6).</summary>
    public const byte DestinationOptions = 60;
}
