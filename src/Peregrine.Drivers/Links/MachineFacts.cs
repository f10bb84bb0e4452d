// What this machine and this process are, as far as links depend on it: capabilities, interfaces, huge pages. Read once; a picture of a moment.
using System.Globalization;
using System.Net.NetworkInformation;
using Peregrine.Drivers.Linux;

namespace Peregrine.Drivers;

/// <summary>Capabilities of Linux that links need (<c>linux/capability.h</c>).</summary>
public enum Capability
{
    /// <summary>Interfaces, TAP devices, attaching programs to interfaces.</summary>
    NetAdmin = 12,

    /// <summary>Packet sockets.</summary>
    NetRaw = 13,

    /// <summary>Locking memory beyond the limit.</summary>
    IpcLock = 14,

    /// <summary>Everything else that root may.</summary>
    SysAdmin = 21,

    /// <summary>Loading BPF programs (Linux 5.8); <see cref="SysAdmin"/> includes it.</summary>
    Bpf = 39,
}

/// <summary>A picture of the machine, taken in the network namespace of the calling thread.</summary>
public sealed class MachineFacts
{
    private readonly ulong _capabilities;

    private MachineFacts(ulong capabilities, IReadOnlyList<InterfaceFacts> interfaces) => (_capabilities, Interfaces) = (capabilities, interfaces);

    /// <summary>The interfaces of the namespace, loopback included, by number.</summary>
    public IReadOnlyList<InterfaceFacts> Interfaces { get; }

    /// <summary>Takes the picture.</summary>
    public static MachineFacts Read() => new(ReadCapabilities(), ReadInterfaces());

    /// <summary>Whether the process has the capability. Only an attempt is certain: a user namespace may have it and own nothing.</summary>
    public bool Has(Capability capability) => (_capabilities & (1UL << (int)capability)) != 0;

    private static ulong ReadCapabilities()
    {
        const string effective = "CapEff:";
        try
        {
            foreach (var line in File.ReadLines("/proc/thread-self/status"))
            {
                if (line.StartsWith(effective, StringComparison.Ordinal)
                    && ulong.TryParse(line.AsSpan(effective.Length).Trim(), NumberStyles.HexNumber, CultureInfo.InvariantCulture, out var bits))
                    return bits;
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Without /proc nothing is known, and an offer then says what is missing.
        }
        return 0;
    }

    private static HashSet<string> ReadAddressed() =>
        [.. NetworkInterface.GetAllNetworkInterfaces()
            .Where(static one => one.GetIPProperties().UnicastAddresses.Any(static a => !a.Address.IsIPv6LinkLocal))
            .Select(static one => one.Name)];

    private static IReadOnlyList<InterfaceFacts> ReadInterfaces()
    {
        try
        {
            var addressed = ReadAddressed();
            return [.. InterfaceDump.Read().Select(one => addressed.Contains(one.Name) ? one with { HasAddress = true } : one)];
        }
        catch (Exception e) when (e is IOException or NetworkInformationException)
        {
            return [];
        }
    }
}
