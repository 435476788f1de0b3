module qie

go 1.26
