// The control bits of a TCP header that fill one byte. The ninth, AE (accurate ECN, once the nonce sum), is apart in TcpHeader.
namespace Peregrine.Wire;

/// <summary>TCP control bits (RFC 9293 §3.1, RFC 3168 §6.1).</summary>
[Flags]
public enum TcpFlags : ushort
{
    /// <summary>No bit.</summary>
    None = 0,

    /// <summary>No more data from the sender.</summary>
    Fin = 1,

    /// <summary>Synchronise sequence numbers.</summary>
    Syn = 2,

    /// <summary>Reset the connection.</summary>
    Rst = 4,

    /// <summary>Push.</summary>
    Psh = 8,

    /// <summary>The acknowledgment field is significant.</summary>
    Ack = 16,

    /// <summary>The urgent pointer is significant.</summary>
    Urg = 32,

    /// <summary>ECN echo.</summary>
    Ece = 64,

    /// <summary>Congestion window reduced.</summary>
    Cwr = 128,

    /// <summary>Accurate ECN (RFC 9768), once the nonce sum: the bit beside the reserved ones.</summary>
    Ae = 256,
}
