package mongodoc_test

import (
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"trama/platform/clock"
	"trama/platform/id"
	"trama/platform/store/mongostore/mongotest"
	"trama/services/marketing/internal/store/mongodoc"
	"trama/services/marketing/internal/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T, c clock.Clock, ids id.Source) storetest.Kit {
		db := mongotest.Open(t).Database()
		s := mongodoc.New(db, c, ids)
		return storetest.Kit{Store: s, Source: s, Dump: func(t *testing.T) string {
			names, err := db.ListCollectionNames(t.Context(), bson.D{})
			if err != nil {
				t.Fatal(err)
			}
			var all strings.Builder
			for _, name := range names {
				cursor, err := db.Collection(name).Find(t.Context(), bson.D{})
				if err != nil {
					t.Fatal(err)
				}
				for cursor.Next(t.Context()) {
					all.WriteString(cursor.Current.String() + "\n")
				}
				if err := cursor.Err(); err != nil {
					t.Fatal(err)
				}
			}
			return all.String()
		}}
	})
}
