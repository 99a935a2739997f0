package card

import "slices"

// Brand is a card brand, as the public wall writes it.
type Brand string

// The brands we know.
const (
	Visa       Brand = "visa"
	Mastercard Brand = "mastercard"
	Amex       Brand = "amex"
	Elo        Brand = "elo"
	Hipercard  Brand = "hipercard"
	Diners     Brand = "diners"
	Discover   Brand = "discover"
	JCB        Brand = "jcb"
	UnionPay   Brand = "unionpay"
	Maestro    Brand = "maestro"
	// Other is a brand that the table does not know: whether it is taken is the
	// acquirer's to say.
	Other Brand = "outra"
)

// cvvLength is how many digits the security code has; 0 when the brand is not known.
func (b Brand) cvvLength() int {
	switch b {
	case "", Other:
		return 0
	case Amex:
		return 4
	}
	return 3
}

// span is a range of BINs: the first digits of a number, both ends included and
// of the same length.
type span struct{ from, to string }

func (s span) holds(number string) bool {
	if len(number) < len(s.from) {
		return false
	}
	head := number[:len(s.from)]
	return s.from <= head && head <= s.to
}

// brands lists the ranges in the order in which they are tried: brands of
// Brazil first, since their BINs lie within the ranges of others.
func brands() []struct {
	brand Brand
	spans []span
} {
	return []struct {
		brand Brand
		spans []span
	}{
		{Hipercard, []span{{"606282", "606282"}, {"637095", "637095"}, {"637568", "637568"}, {"637599", "637599"}, {"637609", "637609"}, {"637612", "637612"}}},
		{Elo, []span{
			{"401178", "401179"}, {"431274", "431274"}, {"438935", "438935"}, {"451416", "451416"}, {"457393", "457393"},
			{"457631", "457632"}, {"504175", "504175"}, {"506699", "506778"}, {"509000", "509999"}, {"627780", "627780"},
			{"636297", "636297"}, {"636368", "636368"}, {"650031", "650033"}, {"650035", "650051"}, {"650405", "650439"},
			{"650485", "650538"}, {"650541", "650598"}, {"650700", "650718"}, {"650720", "650727"}, {"650901", "650978"},
			{"651652", "651679"}, {"655000", "655019"}, {"655021", "655058"},
		}},
		{Amex, []span{{"34", "34"}, {"37", "37"}}},
		{Diners, []span{{"300", "305"}, {"3095", "3095"}, {"36", "36"}, {"38", "39"}}},
		{JCB, []span{{"3528", "3589"}}},
		{Visa, []span{{"4", "4"}}},
		{Mastercard, []span{{"51", "55"}, {"2221", "2720"}}},
		{Discover, []span{{"6011", "6011"}, {"644", "649"}, {"65", "65"}}},
		{UnionPay, []span{{"62", "62"}, {"81", "81"}}},
		{Maestro, []span{{"50", "50"}, {"56", "58"}, {"60", "61"}, {"63", "69"}}},
	}
}

// BrandOf gives the brand of a number; empty when none of ours.
func BrandOf(number string) Brand {
	for _, b := range brands() {
		if slices.ContainsFunc(b.spans, func(s span) bool { return s.holds(number) }) {
			return b.brand
		}
	}
	return ""
}

// CountryOf gives the ISO 3166-1 alpha-2 code of the issuer's country, or "" when
// the table does not know it. Elo and Hipercard are issued in Brazil only; the
// rest is the table of the test BINs that processors publish, one per country
// (400000 and the country's ISO 3166-1 number). An installation with an
// acquirer of its own replaces it by that acquirer's BIN service.
func CountryOf(number string) string {
	if b := BrandOf(number); b == Elo || b == Hipercard {
		return "BR"
	}
	if len(number) < 9 || number[:6] != "400000" {
		return ""
	}
	switch number[6:9] {
	case "076":
		return "BR"
	case "032":
		return "AR"
	case "152":
		return "CL"
	case "170":
		return "CO"
	case "484":
		return "MX"
	case "604":
		return "PE"
	case "620":
		return "PT"
	case "858":
		return "UY"
	case "840":
		return "US"
	case "826":
		return "GB"
	case "276":
		return "DE"
	case "250":
		return "FR"
	case "724":
		return "ES"
	case "392":
		return "JP"
	case "156":
		return "CN"
	case "643":
		return "RU"
	case "566":
		return "NG"
	case "408":
		return "KP"
	case "364":
		return "IR"
	}
	return ""
}
