// A link named by one line, the same on every command line and in configuration: kind:name[,option[=value]]... Taken apart and checked
// against the kind's options; opens nothing.
using System.Globalization;
using System.Text;
using Peregrine.Wire;

namespace Peregrine.Drivers;

/// <summary>
/// A line that names a link: <c>kind:name[,option[=value]]...</c>, for example <c>packet:eth0,queues=2</c> or <c>memif:/run/x.sock,server</c>.
/// A name or value with a comma stands in single quotes, and a quote inside them is doubled. Every value has been checked.
/// </summary>
public sealed class LinkSpecification
{
    private readonly List<(LinkOption Option, string Value)> _values = [];

    private LinkSpecification(string text, LinkKind kind)
    {
        (Source, Kind) = (text, kind);
    }

    /// <summary>The kind of link.</summary>
    public LinkKind Kind { get; }

    /// <summary>What stands behind the colon: an interface, a path, a device; empty where the kind needs none.</summary>
    public string Name { get; private set; } = "";

    /// <summary>The line as it was given.</summary>
    public string Source { get; }

    /// <summary>Takes a line apart.</summary>
    /// <exception cref="ArgumentException">It names no known kind, or an option or value that the kind does not have; the message says what would do.</exception>
    public static LinkSpecification Parse(string text) => Parse(text, LinkKinds.All);

    internal static LinkSpecification Parse(string text, IReadOnlyList<LinkKind> kinds)
    {
        ArgumentNullException.ThrowIfNull(text);
        var colon = text.IndexOfAny([':', ',']);
        var word = colon < 0 ? text : text[..colon];
        var kind = kinds.FirstOrDefault(k => k.Name == word)
            ?? throw new ArgumentException($"'{text}' is not a link: known are {string.Join(", ", kinds.Select(static k => k.Form))}.", nameof(text));
        var specification = new LinkSpecification(text, kind);
        var parts = colon < 0 ? [] : Split(text, text[colon] == ':' ? colon + 1 : colon);
        for (var i = 0; i < parts.Count; i++) specification.Add(parts[i], isFirst: i == 0);
        if (specification.Name.Length > 0 && kind.NameRule == LinkNameRule.None) throw specification.Error($"'{kind.Name}' takes no name");
        if (specification.Name.Length == 0 && kind.NameRule == LinkNameRule.Required) throw specification.Error($"the name is missing: {kind.Form}");
        return specification;
    }

    /// <summary>Whether the option was given.</summary>
    public bool IsSet(string option) => Text(option) is not null;

    /// <summary>The option's value as text, or null.</summary>
    public string? Text(string option)
    {
        var wanted = Known(option);
        foreach (var (given, value) in _values)
        {
            if (given == wanted) return value;
        }
        return null;
    }

    /// <summary>All values of a repeatable option, in order.</summary>
    public IReadOnlyList<string> Texts(string option)
    {
        var wanted = Known(option);
        return [.. _values.Where(v => v.Option == wanted).Select(static v => v.Value)];
    }

    /// <summary>The option's number, or null.</summary>
    public int? Number(string option) => Text(option) is { } value ? int.Parse(value, CultureInfo.InvariantCulture) : null;

    /// <summary>Whether the option is on, or null when it was not given.</summary>
    public bool? Flag(string option) => Text(option) is { } value && TryFlag(value, out var on) ? on : null;

    /// <summary>The option's hardware address, or null.</summary>
    public MacAddress? Mac(string option) => Text(option) is { } value && MacAddress.TryParse(value, out var address) ? address : null;

    /// <summary>All values of an option of addresses with prefix lengths.</summary>
    public IReadOnlyList<IpPrefix> Prefixes(string option) => [.. Texts(option).Select(IpPrefix.Parse)];

    /// <summary>An exception that tells of this line what is wrong with it, for whoever opens it.</summary>
    public ArgumentException Error(string problem) => new($"The link '{Source}': {problem}.");

    /// <inheritdoc/>
    public override string ToString() => Source;

    /// <summary>A name or value as it stands in a line: in quotes where it must.</summary>
    internal static string Quote(string part) =>
        part.AsSpan().IndexOfAny(',', '\'') < 0 ? part : $"'{part.Replace("'", "''", StringComparison.Ordinal)}'";

    internal static bool TryFlag(string value, out bool on)
    {
        on = value is "on" or "true" or "yes" or "1" or "";
        return on || value is "off" or "false" or "no" or "0";
    }

    /// <summary>The parts between commas, quotes taken off.</summary>
    private static List<string> Split(string text, int start)
    {
        // Directly behind the kind stands a comma where there is no name: then the first part is empty.
        var parts = new List<string>();
        var part = new StringBuilder();
        var quoted = false;
        for (var i = start; i < text.Length; i++)
        {
            var letter = text[i];
            if (letter == '\'' && quoted && i + 1 < text.Length && text[i + 1] == '\'') part.Append(text[++i]);
            else if (letter == '\'') quoted = !quoted;
            else if (letter == ',' && !quoted) Next();
            else part.Append(letter);
        }
        if (quoted) throw new ArgumentException($"The link '{text}': a single quote is open at its end.", nameof(text));
        Next();
        return parts;

        void Next()
        {
            parts.Add(part.ToString());
            part.Clear();
        }
    }

    private void Add(string part, bool isFirst)
    {
        var equals = part.IndexOf('=', StringComparison.Ordinal);
        var word = equals < 0 ? part : part[..equals];
        var option = Kind.Options.FirstOrDefault(o => o.Name == word);
        // The first part is the name, unless it sets an option: "tap:fd=3".
        if (isFirst && (option is null || equals < 0))
        {
            Name = part;
            return;
        }
        var value = equals < 0 ? "" : part[(equals + 1)..];
        if (option is null && Kind.Options.FirstOrDefault(static o => o.IsPositional) is { } positional) (option, value) = (positional, part);
        if (option is null) throw Error($"'{Kind.Name}' has no option '{word}'; known are {KnownOptions()}");
        if (equals < 0 && !option.IsFlag && !option.IsPositional) throw Error($"the option '{word}' needs a value: {option.Form}");
        if (!option.IsRepeatable && _values.Exists(v => v.Option == option)) throw Error($"the option '{option.Name}' is given twice");
        if (!option.IsGood(value)) throw Error($"the option '{option.Name}' is '{value}' and must be {option.Must}");
        _values.Add((option, value));
    }

    private string KnownOptions() => Kind.Options.Count == 0 ? "none" : string.Join(", ", Kind.Options.Select(static o => o.Form));

    private LinkOption Known(string option) =>
        Kind.Options.FirstOrDefault(o => o.Name == option) ?? throw new InvalidOperationException($"The kind '{Kind.Name}' declares no option '{option}'.");
}
