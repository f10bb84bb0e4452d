// One option of a kind of link: its name, what values it takes, and a line of help. Says what is wrong with a value; keeps none.
using System.Globalization;
using Peregrine.Wire;

namespace Peregrine.Drivers;

/// <summary>An option that may stand behind a link's name: <c>queues=4</c>, <c>server</c>.</summary>
public sealed record LinkOption
{
    private readonly Func<string, bool> _isGood;

    private LinkOption(string name, string value, string must, string help, Func<string, bool> isGood)
    {
        (Name, Value, Must, Help, _isGood) = (name, value, must, help, isGood);
    }

    /// <summary>The option's name, in lower case.</summary>
    public string Name { get; }

    /// <summary>What stands behind the equals sign, for help texts: "1..64", "on|off", "ADDRESS/LENGTH".</summary>
    public string Value { get; }

    /// <summary>What it does, in a line.</summary>
    public string Help { get; }

    /// <summary>Whether the option may be given more than once.</summary>
    public bool IsRepeatable { get; init; }

    /// <summary>Whether the value may stand without the option's name, as in <c>pcap:in.pcapng,out.pcapng</c>. One option a kind.</summary>
    public bool IsPositional { get; init; }

    /// <summary>Whether it is on or off; without a value it is on.</summary>
    public bool IsFlag { get; private init; }

    internal string Must { get; }

    /// <summary>How it is written: "queues=1..64", "server[=on|off]".</summary>
    public string Form => IsFlag ? $"{Name}[={Value}]" : $"{Name}={Value}";

    /// <summary>An option that is on or off.</summary>
    public static LinkOption Flag(string name, string help) =>
        new(name, "on|off", "on or off", help, static value => LinkSpecification.TryFlag(value, out _)) { IsFlag = true };

    /// <summary>A whole number in a range. The unit belongs into the name or the help.</summary>
    public static LinkOption Number(string name, int min, int max, string help) =>
        new(name, $"{min}..{max}", $"a whole number from {min} to {max}", help,
            value => int.TryParse(value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number) && number >= min && number <= max);

    /// <summary>One of some words.</summary>
    public static LinkOption Choice(string name, IReadOnlyList<string> words, string help) =>
        new(name, string.Join('|', words), "one of " + string.Join(", ", words), help, value => words.Contains(value, StringComparer.Ordinal));

    /// <summary>Any text that is not empty.</summary>
    /// <param name="name">The option's name.</param>
    /// <param name="value">What the text is, for help: "FILE".</param>
    /// <param name="help">What it does, in a line.</param>
    public static LinkOption Text(string name, string value, string help) =>
        new(name, value, value + ", not empty", help, static text => text.Length > 0);

    /// <summary>A hardware address.</summary>
    public static LinkOption Mac(string name, string help) =>
        new(name, "MAC", "a hardware address like 02:00:00:00:00:01", help, static value => MacAddress.TryParse(value, out _));

    /// <summary>An address with its prefix length.</summary>
    public static LinkOption Prefix(string name, string help) =>
        new(name, "ADDRESS/LENGTH", "an address with its prefix length, like 192.0.2.1/24", help, static value => IpPrefix.TryParse(value, out _));

    /// <summary>A text that a function checks.</summary>
    /// <param name="name">The option's name.</param>
    /// <param name="value">What the text is, for help: "PORT[-PORT]".</param>
    /// <param name="must">What it must be, for errors: "a port or a range like 8000-8999".</param>
    /// <param name="help">What it does, in a line.</param>
    /// <param name="isGood">Whether a value will do.</param>
    public static LinkOption Of(string name, string value, string must, string help, Func<string, bool> isGood) => new(name, value, must, help, isGood);

    internal bool IsGood(string value) => _isGood(value);
}
