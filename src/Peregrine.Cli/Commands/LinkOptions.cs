// The options that say on which link a network lies and what addresses both sides have: the same words in every command.
using System.CommandLine;
using System.CommandLine.Parsing;
using Peregrine.Core;
using Peregrine.Core.Links;
using Peregrine.Core.Tcp;
using Peregrine.Drivers;
using Peregrine.Wire;

namespace Peregrine.Cli.Commands;

internal sealed class LinkOptions
{
    internal Option<string> Link { get; } = new("--link")
    {
        Description = "The link: " + string.Join(", ", LinkFactory.KnownForms) + "; options follow behind commas ('peregrine links' lists them)",
        DefaultValueFactory = static _ => "tap:peregrine0",
    };

    internal Option<string[]> Address { get; } = new("--address")
    {
        Description = "The stack's own addresses, with prefix length; on a link that is shared with the kernel (xdp) the kernel's, unless others are given",
        DefaultValueFactory = static _ => ["192.0.2.2/24", "2001:db8::2/64"],
        AllowMultipleArgumentsPerToken = true,
    };

    internal Option<string[]> KernelAddress { get; } = new("--kernel-address")
    {
        Description = "Addresses for the kernel's side of a TAP or TUN link; 'none' leaves that side alone",
        DefaultValueFactory = static _ => ["192.0.2.1/24", "2001:db8::1/64"],
        AllowMultipleArgumentsPerToken = true,
    };

    internal Option<string[]> Gateway { get; } = new("--gateway")
    {
        Description = "Default gateways, one a family",
        DefaultValueFactory = static _ => [],
        AllowMultipleArgumentsPerToken = true,
    };

    internal Option<string?> Namespace { get; } = new("--netns") { Description = "The network namespace of the TAP or TUN device: a name of 'ip netns', or a path" };

    internal Option<string> User { get; } = new("--user")
    {
        Description = "Once the link is open, become this user in all threads, without any privilege; start as root",
        DefaultValueFactory = static _ => "",
    };

    internal Option<string> Qlog { get; } = new("--qlog")
    {
        Description = "A folder for logs of all TCP connections, a qlog file each; see also 'peregrine stats --get counters' (qlog)",
        DefaultValueFactory = static _ => "",
    };

    private readonly CaptureOptions _capture = new();

    internal Option<bool> Print { get; } = new("--dump") { Description = "Print each frame as it passes" };

    internal void AddTo(Command command)
    {
        foreach (var option in new Option[] { Link, Address, KernelAddress, Gateway, Namespace, User, Qlog, Print }) command.Options.Add(option);
        _capture.AddTo(command);
    }

    /// <summary>Opens the link, with a watch around it when frames are to be printed or written.</summary>
    internal (ILink Link, FrameWatch? Watch) Open(ParseResult parsed)
    {
        var kernel = parsed.GetValue(KernelAddress)!.Where(static a => a != "none").Select(static a => IpPrefix.TryParse(a, out var prefix)
            ? prefix
            : throw new ArgumentException($"--kernel-address is \"{a}\"; it must be an address with its prefix length, like 192.0.2.1/24.")).ToList();
        var settings = new LinkSettings { KernelAddresses = kernel, BringUp = kernel.Count > 0, NetworkNamespace = parsed.GetValue(Namespace), Chosen = Announce };
        var link = OpenLink(parsed.GetValue(Link)!, settings, parsed.GetValue(User)!);
        try
        {
            var capture = _capture.Open(parsed);
            if (!parsed.GetValue(Print) && capture is null) return (link, null);
            var watch = new FrameWatch(link, capture, parsed.GetValue(Print));
            return (watch.Link, watch);
        }
        catch
        {
            link.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Opens the link. Where root is given up later, a process that keeps it is started before, which opens the link again if its interface
    /// goes and comes back; it ends with this one.
    /// </summary>
    private static ILink OpenLink(string line, LinkSettings settings, string user)
    {
        if (user.Length == 0 || !Privileges.HasAny) return LinkFactory.Open(line, settings);
        var opener = LinkOpener.Start();
        try
        {
            var link = LinkFactory.Open(line, settings with { Opener = opener });
            opener.Seal();
            if (opener.LinkCount == 0) opener.Dispose();
            return link;
        }
        catch
        {
            opener.Dispose();
            throw;
        }
    }

    private static void Announce(LinkOffer offer) => Console.Error.WriteLine($"link: {offer.Line} ({offer.Mode})");

    /// <param name="parsed">The command line.</param>
    /// <param name="name">The network's name.</param>
    /// <param name="link">The link: where no address is given and it brings some along, those are the network's. Null where they would not do.</param>
    internal PeregrineOptions Network(ParseResult parsed, string name, ILink? link = null) => new()
    {
        Name = name,
        Addresses = parsed.GetResult(Address) is null or { Implicit: true } && link?.Addresses is { Count: > 0 } brought
            ? [.. brought.Select(static a => a.ToString())]
            : parsed.GetValue(Address)!,
        Gateways = parsed.GetValue(Gateway)!,
        User = parsed.GetValue(User)!,
        QlogDirectory = parsed.GetValue(Qlog)!,
        Stack = new StackOptions { Tcp = TcpSettings.Default with { EventLog = parsed.GetValue(Qlog)!.Length > 0 } },
    };
}
