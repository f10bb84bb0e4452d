// A key of the PSP Security Protocol with the number that names it in packets. A receiver makes both and tells the peer by other means.
namespace Peregrine.Core.Tcp.Psp;

/// <summary>The key of one direction of a connection that PSP secures: AES-GCM with 128 bits.</summary>
/// <param name="Spi">Security parameters index: names the key in each packet; not 0.</param>
/// <param name="Key">The key, its first byte the most significant.</param>
public readonly record struct PspKey(uint Spi, UInt128 Key)
{
    /// <summary>Says nothing of the key: secrets do not belong into logs.</summary>
    public override string ToString() => $"SPI {Spi}";
}
