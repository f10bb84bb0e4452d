// What an application says about its network: which link, and how the network on it is set. Filled from configuration first, then from code.
using Peregrine.Core.Links;
using Peregrine.Drivers;
using Peregrine.Wire;

namespace Peregrine.AspNetCore;

/// <summary>A host's link and network.</summary>
public sealed class PeregrineHostOptions
{
    /// <summary>The link, as a line: see <see cref="LinkSpecification"/>. "tap:NAME,mtu=9000", for example. Default "tap:peregrine0".</summary>
    public string Link { get; set; } = "tap:peregrine0";

    /// <summary>What is said about the link beside its line, which wins.</summary>
    public LinkSettings LinkSettings { get; set; } = new();

    /// <summary>Addresses with prefix length for the kernel's side of a TAP link ("192.0.2.1/24"), so that this machine reaches the network at once.</summary>
    public IReadOnlyList<string> KernelAddresses { get; set; } = [];

    /// <summary>Own addresses with prefix length: a short form of <see cref="PeregrineOptions.Addresses"/> in <see cref="Network"/>.</summary>
    public IReadOnlyList<string> Addresses
    {
        get => Network.Addresses;
        set => Network = Network with { Addresses = value };
    }

    /// <summary>Default gateways: a short form of <see cref="PeregrineOptions.Gateways"/> in <see cref="Network"/>.</summary>
    public IReadOnlyList<string> Gateways
    {
        get => Network.Gateways;
        set => Network = Network with { Gateways = value };
    }

    /// <summary>Everything else about the network; change it with a <c>with</c> expression.</summary>
    public PeregrineOptions Network { get; set; } = new();

    /// <summary>Opens the link in another way, for example one end of a memory link; <see cref="Link"/> and <see cref="LinkSettings"/> are not used then. The host disposes it.</summary>
    public Func<ILink>? OpenLink { get; set; }

    internal ILink Open()
    {
        if (OpenLink is { } open) return open();
        var kernel = KernelAddresses.Select(static text => IpPrefix.TryParse(text, out var prefix)
            ? prefix
            : throw new ArgumentException($"KernelAddresses has \"{text}\"; an entry must be an address with its prefix length, like 192.0.2.1/24.")).ToList();
        var settings = kernel.Count == 0 ? LinkSettings : LinkSettings with { KernelAddresses = [.. LinkSettings.KernelAddresses, .. kernel], BringUp = true };
        return LinkFactory.Open(Link, settings);
    }
}
